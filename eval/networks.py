"""Networks that score: images to logits and features, by name.

A score is only as good as its network, so every network has a name that goes into the names of its scores.
"""

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import numpy as np

from experiments import registry
from experiments.runs import check_classifier, first_state, splits
from lib import checkpoints
from lib.config import ConfigError, load_file, save_json, to_plain
from lib.data import Dataset, DataSpec, load
from lib.devices import cache_dir
from lib.experiment import State
from lib.runner import NotFiniteError, Runner
from lib.schema import Evaluation
from lib.workdir import Workdir


class Network(NamedTuple):
    """What scores images.

    Attributes:
      name: begins the names of its scores.
      checksum: of its weights.
      apply: images float32 [n, h, w, c] in [-1, 1] to (logits [n, classes], features [n, d]).
    """

    name: str
    checksum: str
    apply: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

    def activations(self, batches: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(logits, features) of all images of an iterator over batches."""
        logits, features = zip(*map(self.apply, batches), strict=True)
        return np.concatenate(logits), np.concatenate(features)


def trained_classifier(section: Evaluation, data: Dataset, data_dir: str) -> Network:
    """A classifier of this framework, trained on first use and kept in the cache.

    Args:
      section: `config.eval`; its `classifier` is a config's name below configs/.
      data: what will be scored: its images must have the shape of the classifier's.
      data_dir: where TFDS keeps the classifier's data.

    Raises:
      ConfigError: there is no such config, or it is not one of a classifier for such images.
    """
    raw = load_file(check_classifier(section.classifier))
    raw.dataset.data_dir = data_dir
    config = registry.validated(raw)
    where = f"config.eval.classifier: '{section.classifier}'"
    if config.experiment != "classifier":
        raise ConfigError(f"{where} is no classifier's config")
    train, held_out = (load(config.dataset.name, s, data_dir) for s in splits(config.dataset))
    if train.image_shape != data.image_shape:
        raise ConfigError(f"{where} is for images of shape {train.image_shape}, not {data.image_shape}")
    experiment = registry.build(config, DataSpec.of(train))
    name = section.classifier.replace("classifier/", "").replace("/", "_")
    # One device, whatever there is: the same network everywhere.
    runner = Runner(experiment, config, train, held_out, Workdir(cache_dir()), jax.local_devices()[:1])
    key = json.dumps([to_plain(raw), checkpoints.layout(runner.abstract_state())], sort_keys=True)
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    runner.workdir = Workdir(cache_dir() / "networks" / f"{name}-{digest}")
    runner.workdir.create()
    state = _trained(runner, raw)
    apply = jax.jit(lambda images: experiment.heads["logits"](state, images))
    return Network(f"{name}_cnn", checkpoints.checksum(state), lambda images: jax.device_get(apply(images)))


def _trained(runner: Runner, raw) -> State:
    """The state of a scoring network, after training what is missing."""
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


NETWORKS: dict[str, Callable[[Evaluation, Dataset, str], Network]] = {"checkpoint": trained_classifier}
