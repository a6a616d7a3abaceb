"""Means of a run's training metrics over the steps of each epoch, whatever log_every is."""

from collections.abc import Mapping

import jax

from lib.data.epochs import Epochs
from lib.runtime.interval_means import IntervalMeans


class EpochMeans:
    """Metrics of steps as they come from the device, and their means over every epoch that ends.

    An epoch whose first step is not among them has no mean: one in which a run was stopped and resumed.
    """

    def __init__(self, epochs: Epochs):
        self._epochs, self._means = epochs, IntervalMeans()
        self._first: int | None = None  # the first step that was added

    def add(self, first: int, metrics: Mapping[str, jax.Array]) -> dict[int, dict[str, float]]:
        """Adds the metrics [k] of the k steps after `first`; numbers are fetched where an epoch ends.

        Returns:
          {steps done: `epoch`, counted from 1, and the mean of every metric} for the epochs that end.

        Raises:
          lib.runtime.interval_means.NotFiniteError: one ends, and a metric of its steps is not finite.
        """
        step, last = first, first + len(next(iter(metrics.values())))
        self._first = first if self._first is None else self._first
        records = {}
        while (end := self._epochs.end(epoch := self._epochs.of(step))) <= last:
            metrics = jax.device_get(metrics)  # or every cut of an array on the device would be compiled
            self._means.add(step, {n: values[step - first : end - first] for n, values in metrics.items()})
            means = self._means.means()
            if self._epochs.begin(epoch) >= self._first:
                records[end] = {"epoch": epoch + 1, **means}
            self._means.restart()
            step = end
        if step < last:
            after = {n: v[step - first :] for n, v in metrics.items()} if step > first else metrics
            self._means.add(step, after)
        return records

    def fetch(self) -> None:
        """Fetches what was added, so that the device need not keep it.

        Raises:
          lib.runtime.interval_means.NotFiniteError: a metric of one of the steps is not finite.
        """
        self._means.means()
