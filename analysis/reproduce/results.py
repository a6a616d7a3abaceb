"""What came out of a figure's runs: values of methods over seeds, curves, and how sure a mean is."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from analysis.reproduce.paper import Figure, Label, Scale
from experiments.sweep import sweep_folder
from experiments.sweep.sweep_folder import SweepRun
from lib.errors import ConfigError, nearest

_CONFIDENCE = 0.95
_RESAMPLES = 2000


class Mean(NamedTuple):
    """A mean over seeds, with the interval of a bootstrap.

    Attributes:
      values: [seeds].
      low, high: of the 95% interval; the mean itself where there is but one value.
    """

    values: np.ndarray
    low: float
    high: float

    @property
    def mean(self) -> float:
        """Returns the mean."""
        return float(self.values.mean()) if len(self.values) else float("nan")

    def __str__(self) -> str:
        if broken := int((~np.isfinite(self.values)).sum()):
            return f"not finite ({broken} of {len(self.values)})"
        if len(self.values) < 2:
            return f"{self.mean:.4g}"
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]"


def mean_of(values: np.ndarray) -> Mean:
    """Returns the mean of values, with the percentile interval of a bootstrap."""
    from scipy.stats import bootstrap  # takes seconds to import

    values = np.asarray(values, float)
    finite = np.isfinite(values).all()
    if len(values) < 2 or not finite or np.ptp(values) == 0:
        middle = float(values.mean()) if len(values) else float("nan")
        return Mean(values, middle, middle)
    interval = bootstrap(
        (values,),
        np.mean,
        confidence_level=_CONFIDENCE,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Mean(values, float(interval.low), float(interval.high))


class Curve(NamedTuple):
    """A metric along a run: its steps, and its values there."""

    steps: np.ndarray
    values: np.ndarray


@dataclasses.dataclass(frozen=True)
class Results:
    """Those of a figure at a scale.

    Attributes:
      figure: it.
      scale: it.
      folder: of the figure; its runs are in `<folder>/<training>`.
      computed: what `Figure.compute` has returned.
    """

    figure: Figure
    scale: Scale
    folder: Path
    computed: Any = None
    _runs: dict[str, list[SweepRun]] = dataclasses.field(default_factory=dict, repr=False)

    def runs(self, training: str, label: Label) -> list[SweepRun]:
        """Returns the runs of a method, one for each seed.

        Raises:
          KeyError: no such training or method.
        """
        chosen = self.figure.trainings[training]
        if label not in chosen.methods:
            raise KeyError(f"no method {label!r} in training '{training}'")
        run = chosen.labels(self.scale)
        label = label if label in run else run[0]
        first = sum(chosen.count(other, self.scale) for other in run[: run.index(label)])
        return self._read(training)[first : first + chosen.count(label, self.scale)]

    def last(self, training: str, label: Label, metric: str) -> Mean:
        """Returns the last values of a metric over a method's seeds; NaN for a run that failed.

        Args:
          metric: as in a sweep's results, such as `train/model_loss`, `test/accuracy`, `eval/..`.

        Raises:
          ConfigError: no run has recorded it.
        """
        return self._over_seeds(training, label, metric, lambda run: run.last()[metric])

    def best(self, training: str, label: Label, metric: str, least: bool = False) -> Mean:
        """Returns the best values of a metric along the runs of a method: the largest, or the least."""
        choose = min if least else max

        def of(run: SweepRun) -> float:
            return choose(record[metric] for record in run.records if metric in record)

        return self._over_seeds(training, label, metric, of)

    def curves(self, training: str, label: Label, metric: str) -> list[Curve]:
        """Returns a metric along each run of a method."""
        found = []
        for run in self.runs(training, label):
            records = [r for r in run.records if metric in r]
            points = {record["step"]: record[metric] for record in records}
            found.append(Curve(np.array(list(points)), np.array(list(points.values()), float)))
        return found

    def _read(self, training: str) -> list[SweepRun]:
        if training not in self._runs:
            self._runs[training] = sweep_folder.read_sweep(self.folder / training).runs
        return self._runs[training]

    def _over_seeds(self, training: str, label: Label, metric: str, of) -> Mean:
        runs, values = self.runs(training, label), []
        for run in runs:
            if run.status == "failed":
                values.append(np.nan)
            elif any(metric in record for record in run.records) or metric in run.facts:
                values.append(float(of(run)))
            elif self.scale == Scale.SMOKE:  # shorter than what records it
                values.append(np.nan)
            else:
                known = {name for r in run.records for name in r} | set(run.facts)
                raise ConfigError(f"'{run.name}' has no {metric}{nearest(metric, known)}", training)
        return mean_of(np.array(values))
