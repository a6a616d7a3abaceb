"""The evaluation of one checkpoint: the experiment's own metrics, and scores of its samples."""

import functools
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from eval import sampling
from eval.image_scorer import ImageScorer
from eval.networks import NETWORKS, Network, UnloadedNetwork
from lib.data import Dataset, load_split
from lib.errors import ConfigError, nearest
from lib.experiment import State
from lib.pictures.images import image_grid
from lib.pictures.metrics import by_panel, metric_curves
from lib.runtime import checkpoints, records, streams
from lib.runtime.interval_means import NotFiniteError
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder
from lib.tables import aligned, mean_and_spread

_GRID = 100  # samples in the picture
_NOT_SHOWN = ("network", "network_checksum", "resize", "classes")


class Evaluator:
    """Evaluates checkpoints of one run. What they share is computed once.

    Attributes:
      programs: of the run's experiment.
      folder: the run's.
      config: of the run, with the evaluation's own section.
    """

    def __init__(self, programs: Programs, folder: RunFolder):
        self.programs, self.folder, self.config = programs, folder, programs.config

    def check(self) -> None:
        """Checks, before there is a checkpoint, the network for the images, and the best metric's name.

        Raises:
          ConfigError: there is no such network, none for such images, or no such metric.
        """
        if self._unloaded:
            _ = self._reference  # loads it
        wanted, known = self.config.eval.best_metric.removeprefix("-"), self.metric_names
        if wanted and wanted not in known:
            raise ConfigError(f"no metric '{wanted}'{nearest(wanted, known)}", "config.eval.best_metric")

    @functools.cached_property
    def metric_names(self) -> list[str]:
        """Returns the names of the metrics and scores that a record has."""
        scores = list(self._unloaded.names.values()) if self._unloaded else []
        of_averages = [f"{kind}/{name}" for kind in self._averages for name in scores]
        return [*self.programs.metric_names(), *scores, *of_averages]

    @functools.cached_property
    def _averages(self) -> list[str]:
        """Returns the names of the averages of parameters that are evaluated beside the last ones."""
        return list(self.programs.experiment.averages(self.programs.abstract_state()))

    @functools.cached_property
    def _unloaded(self) -> UnloadedNetwork | None:
        if "samples" not in self.programs.experiment.outputs:
            return None
        return NETWORKS[self.config.eval.network](self.config, self.programs.data.train)

    @functools.cached_property
    def network(self) -> Network | None:
        """Returns the network that scores images; None for experiments that generate none."""
        return self._unloaded and self._unloaded.load()

    @functools.cached_property
    def conditions(self) -> dict:
        """Returns what scores depend on besides the checkpoint: only records with equal ones compare."""
        split = {"split": self.config.dataset.eval_split}
        if self.network is None:
            return split
        names = ("num_samples", "num_splits", "kernel_samples", "batch_size")  # samples depend on the last
        names += ("reference_split",)
        return split | {
            "network": self.network.name,
            "network_checksum": self.network.checksum,
            "resize": self.network.resize,
            "samples_version": streams.SAMPLES_VERSION,
            **{name: getattr(self.config.eval, name) for name in names},
        }

    def records(self) -> dict[int, dict]:
        """Returns {step: newest record} of the evaluations under the same conditions, by rising step."""
        conditions, names = self.conditions.items(), {"checkpoint", *self.metric_names}
        same = {
            record["step"]: record
            for record in records.read_scores(self.folder.metrics)
            if record.keys() >= names and all(record.get(name, "") == value for name, value in conditions)
        }
        return dict(sorted(same.items()))

    def evaluate(self, state: State, step: int) -> dict:
        """Scores a state and records that: see `score` and `record`."""
        record = self.score(state, step)
        self.record(record)
        return record

    def record(self, record: dict) -> None:
        """Appends a record to metrics/eval.jsonl and to TensorBoard's events, and draws all of them."""
        records.append_score(self.folder.metrics, self.folder.tensorboard, record)
        panels = by_panel(recorded_metrics(record))
        metric_curves(list(self.records().values()), panels, self.folder.figures / "scores.png")

    def score(self, state: State, step: int) -> dict:
        """Prints all scores of a state, and draws samples.

        Returns:
          The record: `step`, the experiment's own metrics, the scores of the samples and the conditions.

        Raises:
          NotFiniteError: a score is NaN or infinite.
        """
        scorer, dataset = self._scorer, self.config.dataset  # its network is trained, or refused, first
        placed = self.programs.place(state)
        print(f"\nstep {step:,} of {self.folder.path}")
        own = self.programs.evaluate(placed)
        print(f"on the {dataset.eval_split} split of {dataset.name}")
        print(table(self._by_parameters(own)))
        record = {"step": step, "checkpoint": checkpoints.checksum(jax.device_get(state)), **own}
        if scorer:
            record |= self._score_samples(scorer, placed, step)
        record |= self.conditions
        numbers = {name: value for name, value in record.items() if isinstance(value, float)}
        if bad := records.first_not_finite([(step, numbers)]):
            raise NotFiniteError(f"step {step}: not finite: {', '.join(bad[1])}; it is not recorded")
        return record

    def _by_parameters(self, own: Mapping[str, float]) -> list[dict]:
        """Returns records of the own metrics: of the last parameters, and of each average."""
        kinds = self._averages
        of_last = {name: x for name, x in own.items() if name.partition("/")[0] not in kinds}
        if not kinds:
            return [of_last]
        of_averages = [{name: own[f"{kind}/{name}"] for name in of_last} for kind in kinds]
        names = ["last", *kinds]
        return [{"parameters": n, **x} for n, x in zip(names, [of_last, *of_averages], strict=True)]

    @functools.cached_property
    def _scorer(self) -> ImageScorer | None:
        return self.network and ImageScorer(self.programs, self.network, self._reference)

    @functools.cached_property
    def _reference(self) -> Dataset:
        """Returns what samples are compared with."""
        split = self.config.eval.reference_split
        try:
            return load_split(self.config.dataset, split) if split else self.programs.data.held_out
        except ConfigError as error:
            raise ConfigError(error.message, "config.eval.reference_split") from error

    def _score_samples(self, scorer: ImageScorer, placed: State, step: int) -> dict:
        """Prints the scores of a placed state's samples beside the bounds, and draws some.

        Returns:
          The samples' record.

        Raises:
          NotFiniteError: a sample is NaN or infinite.
        """
        samples = self._drawn_and_scored(scorer, "samples", placed, step)
        averages = {
            kind: self._drawn_and_scored(scorer, kind, averaged, step)
            for kind, averaged in self.programs.experiment.averages(placed).items()
        }
        reference = self.config.eval.reference_split or self.config.dataset.eval_split
        of_averages = ", samples of averaged parameters" if averages else ""
        print(f"against the {reference} split: samples{of_averages}, real images (floor), noise (ceiling)")
        print(table([samples, *averages.values(), *scorer.bounds]))
        print(f"classes of the samples: {shares(samples['classes'])}")
        for kind, record in averages.items():
            print(f"classes of the {kind} average's: {shares(record['classes'])}")
        record = {name: value for name, value in samples.items() if name != "images"}
        for kind, of_average in averages.items():
            numbers = {n: v for n, v in of_average.items() if isinstance(v, float) or n == "classes"}
            record |= {f"{kind}/{name}": value for name, value in numbers.items()}
        return record

    def _drawn_and_scored(self, scorer: ImageScorer, name: str, placed: State, step: int) -> dict:
        """Draws some samples of a placed state, and returns the record of all."""
        section = self.config.eval
        draw = functools.partial(sampling.generated, self.programs, placed, seed=self.config.seed)
        grid = next(draw(n=_GRID, batch_size=_GRID, quiet=True))
        if not np.isfinite(grid).all():
            raise NotFiniteError(f"step {step}: not finite: {name}; it is not recorded")
        prefix = "eval" if name == "samples" else f"eval_{name}"
        image_grid(grid, self.folder.figures / f"{prefix}_{step:07}.png")
        return scorer.record(name, draw(n=section.num_samples, batch_size=section.batch_size))


def recorded_metrics(record: Mapping) -> list[str]:
    """Returns the names of a record's metrics, without their spreads and the conditions."""
    return [n for n, v in record.items() if isinstance(v, float) and not n.endswith("_std")]


def table(records: Sequence[Mapping]) -> str:
    """Formats records as aligned columns; a `<name>_std` stands behind its mean as +-."""
    names = [n for n in records[0] if n not in _NOT_SHOWN and not n.endswith("_std")]
    return aligned([names] + [[_cell(record, name) for name in names] for record in records])


def shares(counts: Sequence[int]) -> str:
    """Formats how often each class is the most likely one, in percent; of many classes the top ten."""
    total = sum(counts)
    order = sorted(range(len(counts)), key=lambda c: -counts[c])[:10]
    order = order if len(counts) > 10 else sorted(order)
    return "  ".join(f"{c}: {100 * counts[c] / total:.0f}%" for c in order)


def _cell(record: Mapping, name: str) -> str:
    value = record[name]
    if isinstance(value, float):
        return mean_and_spread(value, record.get(f"{name}_std", 0.0))
    return f"{value:,}" if isinstance(value, int) else value
