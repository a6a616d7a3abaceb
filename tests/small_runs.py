"""Small runs for pictures: trained ones, and what runs leave."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from conftest import small_config

from experiments import registry
from lib.runtime.checkpoints import Writer
from lib.runtime.run_folder import RunFolder
from lib.runtime.trainer import Trainer

# A config whose matrices are small enough to be formed.
TINY_CLASSIFIER = (
    "classifier/digits",
    "dataset.train_split=train[:40]",
    "classifier.model.name=mlp",
    "classifier.model.kwargs.hidden=(1,)",
    "classifier.model.kwargs.activation=tanh",
    "classifier.optimizer.name=sgd",
    "classifier.optimizer.learning_rate=0.2",
)


def train_run(path: Path, name: str, *overrides: str) -> RunFolder:
    """Trains configs/<name>.py, shrunk, in a folder as ./run.sh train does."""
    raw = small_config(name, *overrides)
    folder = RunFolder(path)
    folder.create()
    trainer = Trainer(registry.programs(registry.validated(raw), jax.local_devices()[:1]), folder)
    trainer.train(trainer.programs.init(), 0)
    folder.write_config(raw)
    return folder


def save_points(path: Path, name: str, *overrides: str, steps: Sequence[int]) -> RunFolder:
    """Saves checkpoints with other parameters at each of some steps, without a training step to compile."""
    raw = small_config(name, *overrides)
    folder = write_run(path, raw)
    programs = registry.programs(registry.validated(raw), jax.local_devices()[:1])
    state = jax.device_get(programs.init())
    writer = Writer(folder.checkpoints, keep=len(steps))
    for step in steps:
        generator = np.random.default_rng(step)
        params = jax.tree.map(lambda x, g=generator: x + _noise(g, x), state.params)
        writer.save(step, state._replace(params=params))
    writer.close()
    return folder


def _noise(generator: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Draws normal numbers of an array's shape and type."""
    return 0.3 * generator.normal(size=x.shape).astype(x.dtype)


def write_run(path: Path, config, **records: Sequence[Mapping]) -> RunFolder:
    """Writes what a run leaves without training it: its config, and records of `train` and `eval`."""
    folder = RunFolder(path)
    folder.create()
    folder.write_config(config)
    for file, lines in records.items():
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder.metrics / f"{file}.jsonl").write_text(text)
    return folder
