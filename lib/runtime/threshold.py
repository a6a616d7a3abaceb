"""Thresholds of metrics, METRIC:VALUE: when a run has got as far as it is to go."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from lib.errors import ConfigError, nearest
from lib.runtime import records

_FIELD = "config.stop_at"
SOURCES = ("train", "test")  # what training measures, and what it measures on held-out data


class Threshold(NamedTuple):
    """A value of a metric that is to be reached.

    Attributes:
      metric: its name; of a run's own with train/ or test/ before it.
      value: that it is to reach.
      falls: whether it is to fall to the value, or else to rise.
    """

    metric: str
    value: float
    falls: bool

    @classmethod
    def parse(cls, text: str) -> "Threshold":
        """Parses METRIC:VALUE.

        Losses and distances are to fall, all other metrics to rise; a minus before the name turns it round.

        Raises:
          ConfigError: it is no such pair.
        """
        name, colon, number = text.rpartition(":")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not (colon and name) or math.isnan(value):
            raise ConfigError(f"'{text}' is no METRIC:VALUE, such as train/model_loss:0.29")
        metric = name.removeprefix("-")
        return cls(metric, value, records.lower_is_better(metric) != name.startswith("-"))

    def is_reached(self, value: float) -> bool:
        """Tells whether a value of the metric is at the threshold or beyond it."""
        return value <= self.value if self.falls else value >= self.value


class StopAt:
    """The threshold at which a run stops, `config.stop_at`, as its records come in.

    Attributes:
      source: whose records count: train or test; "" where there is no threshold.
    """

    def __init__(self, text: str):
        """Parses it; an empty text is never reached.

        Raises:
          ConfigError: it is no METRIC:VALUE of the run's own metrics.
        """
        self.source, self._threshold = "", None
        if not text:
            return
        try:
            found = Threshold.parse(text)
        except ConfigError as error:
            raise ConfigError(error.message, _FIELD) from error
        self.source, _, metric = found.metric.partition("/")
        if self.source not in SOURCES or not metric:
            raise ConfigError(f"'{found.metric}' begins with neither train/ nor test/", _FIELD)
        self._threshold = found._replace(metric=metric)

    def is_reached(self, source: str, metrics: Mapping[str, float]) -> bool:
        """Tells whether a record is at the threshold or beyond it.

        Args:
          source: train or test.

        Raises:
          ConfigError: such records have no metric of that name.
        """
        if source != self.source:
            return False
        self.check(metrics)
        return self._threshold.is_reached(metrics[self._threshold.metric])

    def was_reached(self, folder: Path, step: int) -> bool:
        """Tells whether a run's records of a step are at the threshold or beyond it.

        Args:
          folder: of the run's metrics.
        """
        if not self.source or step == 0:
            return False
        read = records.read_training if self.source == "train" else records.read_held_out
        metrics = next((r for r in reversed(read(folder)) if r["step"] == step), {})
        return self._threshold.metric in metrics and self.is_reached(self.source, metrics)

    def check(self, names: Iterable[str]) -> None:
        """Checks that the metric is among these of its source.

        Raises:
          ConfigError: it is not.
        """
        if (name := self._threshold.metric) not in names:
            raise ConfigError(f"no metric '{name}' in {self.source}{nearest(name, names)}", _FIELD)
