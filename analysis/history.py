"""What runs have recorded, as tables: one line per record, with epochs and seconds beside steps."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments import registry
from lib.config import flatten
from lib.errors import ConfigError
from lib.runtime.records import read_held_out, read_training
from lib.runtime.run_folder import RunFolder
from lib.schema import MAY_DIFFER, Run
from lib.sweeps import short_names

SEED = "seed"


class History(NamedTuple):
    """One run.

    Attributes:
      path: its work directory.
      config: validated.
      fields: its config, flat.
      train: metrics of training: columns step, epoch, seconds (of training steps alone), and metrics.
      held_out: the experiment's own metrics on held-out data, with the same columns.
    """

    path: Path
    config: Run
    fields: dict
    train: pd.DataFrame
    held_out: pd.DataFrame


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
    train = pd.DataFrame(read_training(folder.metrics))
    held_out = pd.DataFrame(read_held_out(folder.metrics))
    if train.empty:
        raise ConfigError(
            f"the run in '{path}' has recorded nothing yet; wait for its first log_every steps"
        )
    seconds = _seconds(train)
    last = train.iloc[-1]
    for frame in (train, held_out):
        if not frame.empty:
            frame["epoch"] = frame["step"] * (last["epoch"] / last["step"])
            frame["seconds"] = np.interp(frame["step"], *seconds)
    return History(folder.path, config, flatten(raw), train, held_out)


def _seconds(train: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(steps, seconds since the first step): each interval at its own rate, the first at the next one's."""
    steps = np.concatenate([[0], train["step"]])
    rates = train.get("steps_per_second", pd.Series(np.nan, train.index)).bfill().to_numpy()
    return steps, np.concatenate([[0], np.cumsum(np.diff(steps) / rates)])


def labels(histories: list[History]) -> list[str]:
    """For each run the fields in which the runs differ, the seed left out: equal for runs over seeds.

    Where only the seeds differ, or there is but one run, all have the name of the first one's folder.
    """
    values = lambda h, field: repr(h.fields.get(field))
    names = dict.fromkeys(name for h in histories for name in h.fields)
    differing = [
        name
        for name in names
        if name != SEED
        and not name.startswith(MAY_DIFFER)
        and len({values(h, name) for h in histories}) > 1
    ]
    short = short_names(differing)
    text = lambda h: ", ".join(f"{short[n]}={h.fields[n]}" for n in differing if h.fields.get(n, {}) != {})
    return [text(h) or histories[0].path.name for h in histories]
