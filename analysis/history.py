"""What runs have recorded, as tables: one line per record, with epochs and seconds beside steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments import registry
from lib.config import flatten
from lib.errors import ConfigError
from lib.runtime.records import read_epochs, read_held_out, read_training
from lib.runtime.run_folder import RunFolder
from lib.schema import MAY_DIFFER, Run
from lib.sweeps import short_names

_SEED = "seed"


class History(NamedTuple):
    """One run.

    Attributes:
      path: its work directory.
      config: validated.
      fields: its config, flat.
      train: metrics of training: columns step, epoch, seconds (of training steps alone), and metrics.
      held_out: the experiment's own metrics on held-out data, with the same columns.
      epochs: means of training metrics over epochs: columns step, epoch (1, 2, ..), seconds, and metrics;
        empty where the run has recorded none.
    """

    path: Path
    config: Run
    fields: dict
    train: pd.DataFrame
    held_out: pd.DataFrame
    epochs: pd.DataFrame


def read(path: str | Path) -> History:
    """Reads the work directory of a run.

    Raises:
      ConfigError: no run is there, or it has no records yet.
    """
    folder = RunFolder(path)
    if not folder.config.is_file():
        raise ConfigError(f"no run in '{path}': name a work directory that ./run.sh train has made")
    raw = registry.own_config(folder)
    config = registry.validated(raw)
    train = pd.DataFrame([record for record in read_training(folder.metrics) if "epoch" in record])
    held_out = pd.DataFrame(read_held_out(folder.metrics))
    epochs = pd.DataFrame([record for record in read_epochs(folder.metrics) if "epoch" in record])
    if train.empty or train["step"].iloc[-1] == 0:
        raise ConfigError(
            f"the run in '{path}' has recorded nothing yet; wait for its first log_every steps"
        )
    seconds = _seconds(train)
    last = train.iloc[-1]
    for frame in (train, held_out, epochs):
        if not frame.empty:
            if frame is not epochs:
                frame["epoch"] = frame["step"] * (last["epoch"] / last["step"])
            frame["seconds"] = np.interp(frame["step"], *seconds)
    return History(folder.path, config, flatten(raw), train, held_out, epochs)


def _seconds(train: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Returns (steps, seconds since the first step) of training.

    Each interval is passed at its own rate; one without a rate, as the first is, at the next one's.
    """
    steps = np.concatenate([[0], train["step"]])
    rates = train.get("steps_per_second", pd.Series(np.nan, train.index)).bfill().to_numpy()
    return steps, np.concatenate([[0], np.cumsum(np.diff(steps) / rates)])


def labels(histories: Sequence[History]) -> list[str]:
    """Returns for each run the values of the fields in which the runs differ, the seed left out.

    So runs over seeds have one label. Where only the seeds differ, or there is but one run, all have the
    name of the first one's folder.
    """
    names = dict.fromkeys(name for history in histories for name in history.fields)
    short = short_names([name for name in names if _is_setting(name) and _differs(histories, name)])
    return [_label(history, short) or histories[0].path.name for history in histories]


def _label(history: History, short: Mapping[str, str]) -> str:
    """Formats the values of some fields, {name: short name}; what is empty or absent is left out."""
    fields = {name: history.fields.get(name, {}) for name in short}
    return ", ".join(f"{short[name]}={value}" for name, value in fields.items() if value != {})


def _is_setting(name: str) -> bool:
    """Tells whether a field is part of what a run is, its seed left out."""
    return name != _SEED and not name.startswith(MAY_DIFFER)


def _differs(histories: Sequence[History], name: str) -> bool:
    return len({repr(history.fields.get(name)) for history in histories}) > 1
