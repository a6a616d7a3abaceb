"""Classifiers of this framework as scoring networks: one that is trained on first use, or any run's."""

import fcntl
import hashlib
import json
import shutil

import jax
import numpy as np
from ml_collections import ConfigDict

from eval.networks.network import Array, Network, UnloadedNetwork, score_names
from experiments import catalogue, registry
from experiments.classifier.models import MODELS
from lib.config import load_file, to_plain
from lib.data import Dataset
from lib.errors import ConfigError
from lib.experiment import State
from lib.runtime import checkpoints
from lib.runtime.cache import cache_dir
from lib.runtime.files import open_file
from lib.runtime.interval_means import NotFiniteError
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder, find
from lib.runtime.trainer import Trainer, first_state
from lib.schema import Run

# Fields of a classifier's config that are the same network whatever they say, beside num_steps. One that is
# added to all configs belongs here, or every network is trained again.
_WITHOUT_EFFECT = ("eval", "num_epochs", "epoch_means", "log_seconds", "checkpoint_seconds", "trackers")
_PATH, _CLASSIFIER = "config.eval.network_path", "config.eval.classifier"


def classifier_run(config: Run, data: Dataset) -> UnloadedNetwork:
    """Finds a classifier that can be a scoring network.

    That is the run in `config.eval.network_path`; if empty, the one of `config.eval.classifier`, a config's
    name below configs/, which is trained on first use and kept in the cache.

    Args:
      config: of the run that is evaluated.
      data: what will be scored: its images must have the shape of the classifier's.

    Raises:
      ConfigError: there is no such run or config, or it is not one of a classifier for such images.
    """
    section = config.eval
    if section.network_path:
        try:
            folder, step = find(section.network_path)
        except ConfigError as error:
            raise ConfigError(error.message, _PATH) from error
        programs = _programs(registry.own_config(folder), config, data, _PATH)
        _, state = folder.restore(programs.abstract_state(), step)
        name = folder.path.name
        return UnloadedNetwork(
            score_names(name), _num_features(programs), lambda: _network(name, programs, state)
        )
    raw = load_file(catalogue.classifier_file(section.classifier))
    raw.stop_at = ""  # the network that is kept is that of the last step
    programs = _programs(raw, config, data, _CLASSIFIER)
    raw.num_steps = programs.config.num_steps
    name = f"{section.classifier.replace('classifier/', '').replace('/', '_')}_cnn"

    def load() -> Network:
        return _network(name, programs, _state_in_cache(programs, raw, name))

    return UnloadedNetwork(score_names(name), _num_features(programs), load)


def _programs(raw: ConfigDict, config: Run, data: Dataset, field: str) -> Programs:
    """Builds the programs of a classifier on one device, so that it is the same network everywhere.

    Args:
      raw: its config.
      config: of the run that is evaluated: its data_dir counts.
      data: what will be scored.
      field: of `config`, that names the classifier.

    Raises:
      ConfigError: it is no classifier, or not one for such images.
    """
    name, own = getattr(config.eval, field.rpartition(".")[2]), registry.validated(raw)
    if own.experiment != "classifier":
        raise ConfigError(f"'{name}' is no classifier", field)
    if MODELS[own.classifier.model.name].reads != "images":
        raise ConfigError(f"'{name}' classifies sentences; name a classifier of images", field)
    section = own.dataset.model_copy(update={"data_dir": config.dataset.data_dir})
    programs = registry.programs(own.model_copy(update={"dataset": section}), jax.local_devices()[:1])
    shape = programs.data.train.image_shape
    if shape != data.image_shape:
        raise ConfigError(f"'{name}' is for images of shape {shape}, not {data.image_shape}", field)
    return programs


def _num_features(programs: Programs) -> int:
    """Returns how many features a classifier gives an image."""
    image = jax.ShapeDtypeStruct((1, *programs.data.train.image_shape), np.float32)
    outputs = jax.eval_shape(programs.experiment.outputs["logits"], programs.abstract_state(), image)
    return outputs[1].shape[1]


def _network(name: str, programs: Programs, state: State) -> Network:
    """Makes a network of a classifier's state."""
    placed = jax.device_put(state, programs.devices[0])
    logits = jax.jit(programs.experiment.outputs["logits"])

    def apply(images: Array) -> tuple[jax.Array, jax.Array]:
        with jax.default_matmul_precision("highest"):  # see `in_batches`
            return logits(placed, jax.device_put(images, programs.devices[0]))

    return Network(name, checkpoints.checksum(state), "none", apply, score_names(name))


def _digest(programs: Programs, raw: ConfigDict) -> str:
    """Returns a digest of what a scoring network depends on."""
    depends_on = {key: value for key, value in to_plain(raw).items() if key not in _WITHOUT_EFFECT}
    key = json.dumps([depends_on, checkpoints.layout(programs.abstract_state())], sort_keys=True)
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def _state_in_cache(programs: Programs, raw: ConfigDict, name: str) -> State:
    """Returns the last state of a scoring network in the cache, after training what is missing.

    Raises:
      ConfigError: it cannot be trained.
      SystemExit: a signal stopped its training.
    """
    folder = RunFolder(cache_dir() / "networks" / f"{name}-{_digest(programs, raw)}")
    folder.create()
    with open_file(folder.path / ".training", "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # a second evaluator waits, then reads the network
        try:
            step, state = first_state(programs, folder)
        except checkpoints.AllDamagedError as error:
            print(f"{error.message.partition(';')[0]}: the scoring network is trained again")
            shutil.rmtree(folder.checkpoints)
            step, state = first_state(programs, folder)
        if step == programs.config.num_steps:
            return state
        print(f"training the scoring network, once, in {folder.path}")
        folder.clean_up(programs.config.keep_checkpoints)
        folder.write_config(raw)
        try:
            stopped = Trainer(programs, folder).train(state, step)
        except (NotFiniteError, checkpoints.WriteError) as error:
            raise ConfigError(f"cannot train it: {error}", _CLASSIFIER) from error
        if stopped.signal:
            print("stopped before the scoring network was trained; the same command continues")
            raise SystemExit(128 + stopped.signal)
        return first_state(programs, folder)[1]
