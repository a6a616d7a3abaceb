"""Epochs, passes over the training examples, in steps.

Batches run on over the epochs' ends: a step belongs to the epoch of its first row.
"""

import math
from fractions import Fraction
from typing import NamedTuple

from lib.data.dataset import Dataset
from lib.data.loading import NOTHING
from lib.errors import ConfigError
from lib.schema import MOST_STEPS, Run


class Epochs(NamedTuple):
    """How the steps of a run divide into epochs; steps and epochs are counted from 0.

    Attributes:
      size: how many examples training has.
      rows_per_step: how many of them a step sees, on all devices.
    """

    size: int
    rows_per_step: int

    @property
    def per_step(self) -> float:
        """Returns what share of an epoch a step is."""
        return self.rows_per_step / self.size

    def of(self, step: int) -> int:
        """Returns the epoch that a step belongs to."""
        return step * self.rows_per_step // self.size

    def begin(self, epoch: int) -> int:
        """Returns the first step of an epoch."""
        return self.end(epoch - 1) if epoch else 0

    def end(self, epoch: int) -> int:
        """Returns how many steps are done when an epoch has ended."""
        return -(-(epoch + 1) * self.size // self.rows_per_step)

    def num_steps(self, num_epochs: float) -> int:
        """Returns how many steps so many epochs take, rounded up."""
        # 0.07 * 100 is more than 7 in floats: the number that was written counts, not its nearest float.
        return math.ceil(Fraction(str(num_epochs)) * self.size / self.rows_per_step)


def resolved(config: Run, train: Dataset) -> Run:
    """Returns a config in which num_steps is what its num_epochs come to, where these are set.

    Args:
      config: of a run.
      train: what it trains on.

    Raises:
      ConfigError: epochs are asked for and the data have none, or they are too many steps to count.
    """
    for name in ("num_epochs", "epoch_means"):
        if getattr(config, name) and (train.source or train.name == NOTHING):
            why = "draws new points in every step" if train.source else "reads no data"
            raise ConfigError(f"'{train.name}' {why}: there are no epochs; leave it out", f"config.{name}")
    if not config.num_epochs:
        return config
    epochs = Epochs(train.size, config.batches_per_step * config.batch_size)
    if (num_steps := epochs.num_steps(config.num_epochs)) > MOST_STEPS:
        most = MOST_STEPS * epochs.rows_per_step // train.size
        raise ConfigError(
            f"{config.num_epochs:g} epochs are more than {MOST_STEPS:,} steps; use at most {most:,}",
            "config.num_epochs",
        )
    return config.model_copy(update={"num_steps": num_steps})
