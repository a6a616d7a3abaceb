"""Means of a run's training metrics over the steps between two lines of its records."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np

from lib.runtime.records import first_not_finite


class NotFiniteError(Exception):
    """A metric or the state became NaN or infinite. The text says when, and what is kept.

    Attributes:
      names: of metrics of training steps that did, if any.
    """

    def __init__(self, text: str, names: Sequence[str] = ()):
        """Remembers the names."""
        super().__init__(text)
        self.names = tuple(names)


class IntervalMeans:
    """Metrics of steps as they come from the device, and their means since `restart`.

    Numbers are fetched when they are asked for, not with every step. A run that is stopped and resumed
    within an interval has in its next line the mean since it was resumed.
    """

    def __init__(self):
        self._pending: list[tuple[int, Mapping[str, jax.Array]]] = []
        self.restart()

    def restart(self) -> None:
        """Begins a new interval."""
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, first: int, metrics: Mapping[str, jax.Array]) -> None:
        """Adds the metrics [k] of the k steps after `first`."""
        self._pending.append((first, metrics))

    def means(self) -> dict[str, float]:
        """Returns the mean of every metric.

        Raises:
          NotFiniteError: a metric of one of the steps is not finite.
        """
        for first, on_device in self._pending:
            metrics = {name: np.asarray(x, np.float64) for name, x in jax.device_get(on_device).items()}
            k = len(next(iter(metrics.values())))
            steps = [(first + i, {n: v[i] for n, v in metrics.items()}) for i in range(k)]
            if bad := first_not_finite(steps):
                raise NotFiniteError(f"step {bad[0] + 1}: not finite: {', '.join(bad[1])}", bad[1])
            for name, values in metrics.items():
                self._sums[name] = self._sums.get(name, 0.0) + float(values.sum())
            self._count += k
        self._pending = []
        return {name: total / self._count for name, total in self._sums.items()}
