"""Small runs for pictures: trained ones, and what runs leave."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
from conftest import small_config

from experiments import registry
from lib.runtime.run_folder import RunFolder
from lib.runtime.trainer import Trainer


def train_run(path: Path, name: str, *overrides: str) -> RunFolder:
    """Trains configs/<name>.py, shrunk, in a folder as ./run.sh train does."""
    raw = small_config(name, *overrides)
    folder = RunFolder(path)
    folder.create()
    trainer = Trainer(registry.programs(registry.validated(raw), jax.local_devices()[:1]), folder)
    trainer.train(trainer.programs.init(), 0)
    folder.write_config(raw)
    return folder


def write_run(path: Path, config, **records: Sequence[Mapping]) -> RunFolder:
    """Writes what a run leaves without training it: its config, and records of `train` and `eval`."""
    folder = RunFolder(path)
    folder.create()
    folder.write_config(config)
    for file, lines in records.items():
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder.metrics / f"{file}.jsonl").write_text(text)
    return folder
