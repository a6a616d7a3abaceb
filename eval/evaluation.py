"""The evaluation of one checkpoint: the experiment's own metrics, and scores of its samples."""

import functools
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from eval import reference_cache, sampling
from eval.networks import NETWORKS, Network
from eval.scores import Reference, Scores, over_splits
from lib.experiment import State
from lib.pictures import drawing
from lib.runtime import checkpoints, records
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder
from lib.runtime.trainer import NotFiniteError
from lib.tables import aligned, mean_and_spread

_GRID = 100  # samples in the picture
_NOT_SHOWN = ("network", "network_checksum", "resize", "classes")


class Evaluator:
    """Evaluates checkpoints of one run. What they share is computed once."""

    def __init__(self, programs: Programs, folder: RunFolder):
        self.programs, self.folder, self.config = programs, folder, programs.config
        self._generates = "samples" in programs.experiment.outputs

    @functools.cached_property
    def network(self) -> Network | None:
        """What scores images; None for experiments that generate none."""
        if not self._generates:
            return None
        return NETWORKS[self.config.eval.network](self.config, self.programs.data.train)

    @functools.cached_property
    def conditions(self) -> dict:
        """What scores depend on besides the checkpoint: only records with equal ones compare."""
        split = {"split": self.config.dataset.eval_split}
        if not self._generates:
            return split
        section, network = self.config.eval, self.network
        names = ("num_samples", "num_splits", "kernel_samples", "batch_size")  # samples depend on the last
        return split | {
            "network": network.name,
            "network_checksum": network.checksum,
            "resize": network.resize,
            **{name: getattr(section, name) for name in names},
        }

    def records(self) -> dict[int, dict]:
        """{step: newest record} of what was scored under the same conditions, in the order of steps."""
        conditions = self.conditions.items()
        same = {
            record["step"]: record
            for record in records.read_scores(self.folder.metrics)
            if all(record.get(name) == value for name, value in conditions)
        }
        return dict(sorted(same.items()))

    @functools.cached_property
    def _reference(self) -> Reference:
        section = self.config.eval
        held_out = self.programs.data.held_out
        return reference_cache.reference(held_out, self.network, section.kernel_samples, section.batch_size)

    @functools.cached_property
    def _bounds(self) -> list[dict]:
        """Records of real images, the floor, and of noise, the ceiling."""
        train, held_out = self.programs.data
        section, split = self.config.eval, self.config.dataset.train_split
        n, b = section.num_samples, section.batch_size
        make = lambda: [
            self._record(f"real ({split})", sampling.real(train, n, b, 0)),
            self._record("noise", sampling.noise(train.image_shape, n // section.num_splits, b, 0)),
        ]
        numbers = (split, n, section.num_splits, section.kernel_samples)
        return reference_cache.records(self.network, (*numbers, train.image, held_out.image), make)

    def evaluate(self, state: State, step: int) -> dict:
        """Scores a state and records that: see `score` and `record`."""
        record = self.score(state, step)
        self.record(record)
        return record

    def record(self, record: dict) -> None:
        """Appends a record to metrics/eval.jsonl and to TensorBoard's events, and draws all of them."""
        records.append_score(self.folder.metrics, self.folder.tensorboard, record)
        self._draw(record)

    def score(self, state: State, step: int) -> dict:
        """Prints all scores of a state, and draws samples.

        Returns:
          The record: `step`, the experiment's own metrics, the scores of the samples and what they depend on.

        Raises:
          NotFiniteError: a score is NaN or infinite.
        """
        programs, config = self.programs, self.config
        checksum = checkpoints.checksum(jax.device_get(state))
        placed = programs.place(state)
        _ = self.network and self._reference  # trained or refused before anything is printed
        print(f"\nstep {step:,} of {self.folder.path}")
        own = programs.evaluate(placed)
        print(f"on the {config.dataset.eval_split} split of {config.dataset.name}")
        print(table([own]))
        record = {"step": step, "checkpoint": checksum, **own}
        if self._generates:
            samples = self._samples(state, step)
            print("against that split: samples, real images (floor), noise (ceiling)")
            print(table([samples, *self._bounds]))
            print(f"classes of the samples: {shares(samples['classes'])}")
            record |= {name: value for name, value in samples.items() if name != "images"}
        record |= self.conditions
        numbers = {name: value for name, value in record.items() if isinstance(value, float)}
        if bad := records.first_not_finite([(step, numbers)]):
            raise NotFiniteError(f"step {step}: not finite: {', '.join(bad[1])}; it is not recorded")
        return record

    def _samples(self, state: State, step: int) -> dict:
        section = self.config.eval
        draw = functools.partial(sampling.generated, self.programs, state, seed=self.config.seed)
        grid = next(draw(n=_GRID, batch_size=_GRID, quiet=True))
        if not np.isfinite(grid).all():
            raise NotFiniteError(f"step {step}: not finite: samples; it is not recorded")
        drawing.image_grid(grid, self.folder.figures / f"eval_{step:07}.png")
        return self._record("samples", draw(n=section.num_samples, batch_size=section.batch_size))

    def _record(self, images: str, batches) -> dict:
        """Scores of a stream of images, over splits of the config's size; of real images, what is left
        after the last whole one is dropped.
        """
        section, network = self.config.eval, self.network
        size = section.num_samples // section.num_splits
        splits: list[dict] = []
        scores, done, classes = Scores(self._reference), 0, 0
        for _, batch in sampling.parts(batches, size):
            scores.update(*network.apply(batch))
            done += len(batch)
            if done % size == 0:
                splits.append(scores.values())
                classes = classes + scores.classes()
                scores = Scores(self._reference)
        if not splits:  # fewer real images than one split
            splits, classes, size = [scores.values()], scores.classes(), done
        values = over_splits(splits)
        names = {**network.names, **{f"{k}_std": f"{v}_std" for k, v in network.names.items()}}
        return {
            "images": images,
            **{names[name]: value for name, value in values.items()},
            "per_split": size,
            "splits": len(splits),
            "num_reference": self._reference.gaussian.n,
            "classes": classes.tolist(),
        }

    def _draw(self, record: dict) -> None:
        """figures/scores.png: each metric of all evaluations against the step."""
        same = list(self.records().values())
        names = [n for n, v in record.items() if isinstance(v, float) and not n.endswith("_std")]
        drawing.curves(same, {n: [n] for n in names}, self.folder.figures / "scores.png")


def table(records: Sequence[Mapping]) -> str:
    """Records as aligned columns; a `<name>_std` stands behind its mean as +-."""
    names = [n for n in records[0] if n not in _NOT_SHOWN and not n.endswith("_std")]
    rows = [names] + [[_cell(record, name) for name in names] for record in records]
    return aligned(rows)


def shares(counts: Sequence[int]) -> str:
    """How often each class is the most likely one, in percent; only the ten most frequent of many."""
    total = sum(counts)
    order = sorted(range(len(counts)), key=lambda c: -counts[c])[:10]
    order = order if len(counts) > 10 else sorted(order)
    return "  ".join(f"{c}: {100 * counts[c] / total:.0f}%" for c in order)


def _cell(record: Mapping, name: str) -> str:
    value = record[name]
    if isinstance(value, float):
        return mean_and_spread(value, record.get(f"{name}_std", 0.0))
    return f"{value:,}" if isinstance(value, int) else value
