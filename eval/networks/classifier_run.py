"""Classifiers of this framework as scoring networks: one that is trained on first use, or any run's."""

import fcntl
import hashlib
import json

import jax
from ml_collections import ConfigDict

from eval.networks.network import Network, prefixed
from experiments import catalogue, registry
from lib.config import load_file, to_plain
from lib.data import Dataset
from lib.errors import ConfigError
from lib.experiment import State
from lib.runtime import checkpoints
from lib.runtime.cache import cache_dir
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder, find
from lib.runtime.trainer import NotFiniteError, Trainer, first_state
from lib.schema import Run


def classifier_run(config: Run, data: Dataset) -> Network:
    """Makes a network of the classifier run in `config.eval.network_path`; if empty, of `config.eval.classifier`.

    The latter is a config's name below configs/; it is trained on first use and kept in the cache.

    Args:
      config: of the run that is evaluated.
      data: what will be scored: its images must have the shape of the classifier's.

    Raises:
      ConfigError: there is no such run or config, or it is not one of a classifier for such images.
    """
    section, data_dir = config.eval, config.dataset.data_dir
    if section.network_path:
        folder, step = find(section.network_path)
        field, value, name = "config.eval.network_path", section.network_path, folder.path.name
        programs = _programs(registry.own_config(folder), data, data_dir, field, value)
        _, state = folder.restore(programs.abstract_state(), step)
    else:
        field, value = "config.eval.classifier", section.classifier
        name = f"{value.replace('classifier/', '').replace('/', '_')}_cnn"
        raw = load_file(catalogue.classifier_file(value))
        programs = _programs(raw, data, data_dir, field, value)
        state = _trained(programs, raw, name)
    state = jax.device_put(state, programs.devices[0])
    apply = jax.jit(lambda images: programs.experiment.outputs["logits"](state, images))
    return Network(
        name, checkpoints.checksum(state), "none", lambda x: jax.device_get(apply(x)), prefixed(name)
    )


def _programs(raw: ConfigDict, data: Dataset, data_dir: str, field: str, value: str) -> Programs:
    """Returns the classifier's programs on one device, whatever there is: the same network everywhere."""
    config = registry.validated(raw)
    if config.experiment != "classifier":
        raise ConfigError(f"'{value}' is no classifier", field)
    section = config.dataset.model_copy(update={"data_dir": data_dir})
    programs = registry.programs(config.model_copy(update={"dataset": section}), jax.local_devices()[:1])
    shape = programs.data.train.image_shape
    if shape != data.image_shape:
        raise ConfigError(f"'{value}' is for images of shape {shape}, not {data.image_shape}", field)
    return programs


def _trained(programs: Programs, raw: ConfigDict, name: str) -> State:
    """Returns the state of a scoring network in the cache, after training what is missing."""
    depends_on = {key: value for key, value in to_plain(raw).items() if key != "eval"}
    key = json.dumps([depends_on, checkpoints.layout(programs.abstract_state())], sort_keys=True)
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    folder = RunFolder(cache_dir() / "networks" / f"{name}-{digest}")
    folder.create()
    with (folder.path / ".training").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # a second evaluator waits, then finds the network
        step, state = first_state(programs, folder)
        if step == programs.config.num_steps:
            return state
        print(f"training the scoring network, once, in {folder.path}")
        folder.write_config(raw)
        try:
            stopped = Trainer(programs, folder).train(state, step)
        except (NotFiniteError, checkpoints.WriteError) as error:
            raise ConfigError(f"cannot train it: {error}", "config.eval.classifier") from error
        if stopped.signal:
            print("stopped before the scoring network was trained; the same command continues")
            raise SystemExit(128 + stopped.signal)
        return first_state(programs, folder)[1]
