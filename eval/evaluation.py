"""The evaluation of one checkpoint: the experiment's own metrics, and scores of its samples."""

import functools
from collections.abc import Mapping
from types import ModuleType

import jax
import numpy as np

from eval import distances, sampling, tfgan
from eval.image_scorer import ImageScorer
from eval.nearest_images import nearest_images
from eval.networks import Network, UnloadedNetwork, scoring_network
from eval.report import nearest_training_images, score_curves, shares, table
from eval.statistics_file import Statistics, read_statistics
from lib.data import Dataset, load_split
from lib.errors import ConfigError, nearest
from lib.experiment import State
from lib.pictures.images import image_grid
from lib.runtime import checkpoints, records, streams
from lib.runtime.interval_means import NotFiniteError
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder

_GRID = 100  # samples in the picture


class Evaluator:
    """Evaluates checkpoints of one run. What they share is computed once.

    Attributes:
      programs: of the run's experiment.
      folder: the run's.
      config: of the run, with the evaluation's own section.
    """

    def __init__(self, programs: Programs, folder: RunFolder, functions: ModuleType = distances):
        """Computes nothing yet.

        Args:
          programs: of the run's experiment.
          folder: the run's.
          functions: the module of the distances: `eval.distances`, or `eval.tfgan`, then Inception runs by
            TensorFlow too.
        """
        self.programs, self.folder, self.config = programs, folder, programs.config
        self._functions = functions

    def of(self, folder: RunFolder) -> "Evaluator":
        """Returns the evaluator of the same run's checkpoints in another folder, such as best/."""
        return Evaluator(self.programs, folder, self._functions)

    def check(self) -> None:
        """Checks, before there is a checkpoint, the network, the reference, and the best metric's name.

        Raises:
          ConfigError: there is no such network, none for such images, no such reference, one of too few
            images, or no such metric.
        """
        if self._unloaded:
            self._check_reference()
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
        return scoring_network(self.config, self.programs.data.train, self._functions is tfgan)

    def _check_reference(self) -> None:
        """Checks what samples are compared with."""
        if isinstance(self._reference, Statistics):  # loads it
            return
        sizes = {"reference": self._reference.size, "training": self.programs.data.train.size}
        for images, size in sizes.items():
            if self.config.eval.neighbours >= size:
                reason = f"must be less than {size:,}, the {images} images"
                raise ConfigError(reason, "config.eval.neighbours")

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
        names = ("num_samples", "num_splits", "kernel_samples", "neighbours", "reference_split")
        names += ("batch_size",)  # samples depend on it
        return split | {
            "reference_statistics": getattr(self._reference, "digest", ""),
            "with": "tfgan" if self._functions is tfgan else "",
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
        bounds = self._scorer.bounds if self._scorer else []
        score_curves(list(self.records().values()), bounds, self.folder.figures / "scores.png")

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
        return self.network and ImageScorer(self.programs, self.network, self._reference, self._functions)

    @functools.cached_property
    def _reference(self) -> Dataset | Statistics:
        """Returns what samples are compared with."""
        if file := self.config.eval.reference_statistics:
            return read_statistics(file, self._unloaded.num_features)
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
        of_averages = ", samples of averaged parameters" if averages else ""
        rows = f"samples{of_averages}, real images (floor), noise (ceiling)"
        print(f"against {self._reference_name()}: {rows}")
        print(table([samples, *averages.values(), *scorer.bounds]))
        if samples["classes"]:
            print(f"classes of the samples: {shares(samples['classes'])}")
            for kind, record in averages.items():
                print(f"classes of the {kind} average's: {shares(record['classes'])}")
        record = {name: value for name, value in samples.items() if name != "images"}
        for kind, of_average in averages.items():
            numbers = {n: v for n, v in of_average.items() if isinstance(v, float) or n == "classes"}
            record |= {f"{kind}/{name}": value for name, value in numbers.items()}
        return record

    def _reference_name(self) -> str:
        """Returns what samples are compared with, in words."""
        if file := self.config.eval.reference_statistics:
            return f"the statistics in {file}"
        return f"the {self.config.eval.reference_split or self.config.dataset.eval_split} split"

    @functools.cached_property
    def _nearest_to_held_out(self) -> np.ndarray:
        """Returns distances of some images, that training has not seen, to their nearest training image."""
        data = self.programs.data
        images = next(sampling.real(data.held_out, _GRID, _GRID, self.config.seed, quiet=True))
        return nearest_images(images, data.train, 1)[1][:, 0]

    def _drawn_and_scored(self, scorer: ImageScorer, name: str, placed: State, step: int) -> dict:
        """Draws some samples of a placed state, and returns the record of all."""
        section = self.config.eval
        draw = functools.partial(sampling.generated, self.programs, placed, seed=self.config.seed)
        grid = np.asarray(next(draw(n=_GRID, batch_size=_GRID, quiet=True)))
        if not np.isfinite(grid).all():
            raise NotFiniteError(f"step {step}: not finite: {name}; it is not recorded")
        prefix = "eval" if name == "samples" else f"eval_{name}"
        image_grid(grid, self.folder.figures / f"{prefix}_{step:07}.png")
        if name == "samples":
            nearest = self.folder.figures / f"nearest_{step:07}.png"
            train = self.programs.data.train
            print(nearest_training_images(grid, self._nearest_to_held_out, train, nearest))
        try:
            return scorer.record(name, draw(n=section.num_samples, batch_size=section.batch_size))
        except NotFiniteError as error:
            raise NotFiniteError(f"step {step}: {name}: {error}; it is not recorded") from error
