"""Curves of learning rates and losses as the published code of hypergradient descent writes them.

One line a record (of every iteration with log_every=1), and means of an epoch on its last line alone:
Epoch, Iteration, Time, Loss, LossEpoch, ValidLossEpoch, Alpha, AlphaEpoch, Beta. The code of Baydin et al.,
ICLR 2018, has such files of its own runs.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from lib.errors import ConfigError, one_line
from lib.runtime.files import replacing

_COLUMNS = {
    "Epoch": "epoch",
    "Iteration": "step",
    "Time": "seconds",
    "Loss": "loss",
    "ValidLossEpoch": "held_out_loss",
    "Alpha": "learning_rate",
}


def read(path: str | Path) -> pd.DataFrame:
    """Returns a file's records: epoch, step, seconds, loss, learning_rate, and held_out_loss of epochs.

    Raises:
      ConfigError: it cannot be read, or has not these columns.
    """
    try:
        frame = pd.read_csv(path)
        if missing := [name for name in _COLUMNS if name not in frame]:
            raise ConfigError(f"'{path}' has no column {', '.join(missing)}", "plot compare")
        records = frame[list(_COLUMNS)].rename(columns=_COLUMNS).apply(pd.to_numeric)
    except ConfigError:
        raise
    except Exception as error:  # pandas has an error for every kind of damage
        raise ConfigError(f"cannot read '{path}': {one_line(error)[:200]}", "plot compare") from error
    return records[records["step"] > 0].reset_index(drop=True)  # line 0 is before the first step


def write(records: pd.DataFrame, beta: float, path: Path) -> None:
    """Writes a run's records.

    Args:
      records: with epoch (fractional), step, seconds, loss and learning_rate, and below them held_out_loss.
      beta: of its optimiser; 0 of one whose rate stays.
      path: of the file.
    """
    train = records.dropna(subset="loss")
    epoch = np.ceil(train["epoch"].to_numpy() - 1e-6).astype(int)
    last = np.append(epoch[1:] != epoch[:-1], True)
    means = train.groupby(epoch)[["loss", "learning_rate"]].transform("mean")
    held_out = records.reindex(columns=["epoch", "held_out_loss"]).dropna()
    at_end = held_out.groupby(np.ceil(held_out["epoch"] - 1e-6).astype(int))["held_out_loss"].last()
    frame = pd.DataFrame(
        {
            "Epoch": epoch,
            "Iteration": train["step"].to_numpy(),
            "Time": train["seconds"].to_numpy(),
            "Loss": train["loss"].to_numpy(),
            "LossEpoch": np.where(last, means["loss"], np.nan),
            "ValidLossEpoch": np.where(last, at_end.reindex(epoch), np.nan),
            "Alpha": train["learning_rate"].to_numpy(),
            "AlphaEpoch": np.where(last, means["learning_rate"], np.nan),
            "Beta": beta,
        }
    )
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False)
