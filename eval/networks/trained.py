"""Classifiers of this framework as scoring networks: one that is trained on first use, or any run's."""

import fcntl
import hashlib
import json

import jax

from eval.networks.network import Network, prefixed
from experiments import registry
from experiments.runs import check_classifier, first_state, load_split, restored, splits
from lib import checkpoints
from lib.config import ConfigError, load_file, load_json, save_json, to_plain
from lib.data import Dataset, DataSpec
from lib.devices import cache_dir
from lib.experiment import State
from lib.runner import NotFiniteError, Runner
from lib.schema import Run
from lib.workdir import Workdir, find


def trained_classifier(config: Run, data: Dataset) -> Network:
    """The classifier run in `config.eval.network_path`; if empty, the one of `config.eval.classifier`.

    The latter is a config's name below configs/; it is trained on first use and kept in the cache.

    Args:
      config: of the run that is evaluated.
      data: what will be scored: its images must have the shape of the classifier's.

    Raises:
      ConfigError: there is no such run or config, or it is not one of a classifier for such images.
    """
    section, data_dir = config.eval, config.dataset.data_dir
    if section.network_path:
        workdir, step = find(section.network_path)
        field, name = f"config.eval.network_path: '{section.network_path}'", workdir.path.name
        raw = load_json(workdir.config)
    else:
        field, name = f"config.eval.classifier: '{section.classifier}'", section.classifier
        raw = load_file(check_classifier(section.classifier))
        name = f"{name.replace('classifier/', '').replace('/', '_')}_cnn"
    runner = _runner(raw, data, data_dir, field)
    if section.network_path:
        _, state = restored(runner, workdir, step)
    else:
        state = _trained(runner, raw, name)
    state = jax.device_put(state, runner.devices[0])
    apply = jax.jit(lambda images: runner.experiment.heads["logits"](state, images))
    return Network(
        name, checkpoints.checksum(state), "none", lambda x: jax.device_get(apply(x)), prefixed(name)
    )


def _runner(raw, data: Dataset, data_dir: str, field: str) -> Runner:
    """A runner of the classifier on one device, whatever there is: the same network everywhere."""
    config = registry.validated(raw)
    if config.experiment != "classifier":
        raise ConfigError(f"{field} is no classifier")
    section = config.dataset.model_copy(update={"data_dir": data_dir})
    train, held_out = (load_split(section, split) for split in splits(section))
    if train.image_shape != data.image_shape:
        raise ConfigError(f"{field} is for images of shape {train.image_shape}, not {data.image_shape}")
    experiment = registry.build(config, DataSpec.of(train))
    return Runner(experiment, config, train, held_out, Workdir(cache_dir()), jax.local_devices()[:1])


def _trained(runner: Runner, raw, name: str) -> State:
    """The state of a scoring network in the cache, after training what is missing."""
    depends_on = {key: value for key, value in to_plain(raw).items() if key != "eval"}
    key = json.dumps([depends_on, checkpoints.layout(runner.abstract_state())], sort_keys=True)
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    runner.workdir = Workdir(cache_dir() / "networks" / f"{name}-{digest}")
    runner.workdir.create()
    with (runner.workdir.path / ".training").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # a second evaluator waits, then finds the network
        step, state = first_state(runner)
        if step == runner.config.num_steps:
            return state
        print(f"training the scoring network, once, in {runner.workdir.path}")
        save_json(raw, runner.workdir.config)
        try:
            stopped = runner.train(state, step)
        except (NotFiniteError, checkpoints.WriteError) as error:
            raise ConfigError(f"config.eval.classifier: cannot train it: {error}") from error
        if stopped.signal:
            print("stopped before the scoring network was trained; the same command continues")
            raise SystemExit(128 + stopped.signal)
        return first_state(runner)[1]
