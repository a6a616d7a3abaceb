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

# Of a run's records: the columns of single ones, and of means over epochs where it has recorded these.
OF_EPOCHS = {"loss": "epoch_loss", "learning_rate": "epoch_learning_rate"}
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
      records: with epoch (fractional), step, seconds, loss and learning_rate, and below them held_out_loss
        and the columns of OF_EPOCHS. Without these, means of an epoch are those of its records.
      beta: of its optimiser; 0 of one whose rate stays.
      path: of the file.
    """
    train = records.dropna(subset="loss")
    per_step = train["epoch"].iloc[-1] / train["step"].iloc[-1]
    epoch = epochs(train, per_step)
    last = np.append(epoch[1:] != epoch[:-1], True)
    held_out = records.reindex(columns=["step", "held_out_loss"]).dropna()
    at_end = held_out.groupby(epochs(held_out, per_step))["held_out_loss"].last()
    means = _means(records, train, epoch)
    frame = pd.DataFrame(
        {
            "Epoch": epoch,
            "Iteration": train["step"].to_numpy(),
            "Time": train["seconds"].to_numpy(),
            "Loss": train["loss"].to_numpy(),
            "LossEpoch": np.where(last, means["loss"].reindex(epoch), np.nan),
            "ValidLossEpoch": np.where(last, at_end.reindex(epoch), np.nan),
            "Alpha": train["learning_rate"].to_numpy(),
            "AlphaEpoch": np.where(last, means["learning_rate"].reindex(epoch), np.nan),
            "Beta": beta,
        }
    )
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False)


def epochs(records: pd.DataFrame, per_step: float) -> np.ndarray:
    """Returns the epoch, 1, 2, .., of the last step before each record; 0 where there is none.

    A step belongs to the epoch in which it begins: lib/data/epochs.py.

    Args:
      records: with the column step.
      per_step: what share of an epoch a step is.
    """
    return np.floor((records["step"].to_numpy() - 1) * per_step + 1e-9).astype(int) + 1


def _means(records: pd.DataFrame, train: pd.DataFrame, epoch: np.ndarray) -> pd.DataFrame:
    """Returns means over epochs, indexed by these: as recorded, where they are, else of its records."""
    of_records = train.groupby(epoch)[list(OF_EPOCHS)].mean().loc[1:]
    names = {column: name for name, column in OF_EPOCHS.items()}
    recorded = records.reindex(columns=["epoch", *OF_EPOCHS.values()]).dropna().rename(columns=names)
    if recorded.empty:
        return of_records
    recorded = recorded.groupby("epoch").last()  # an epoch after the last one of these is not whole
    return recorded.combine_first(of_records.loc[: recorded.index[-1]])
