"""The evaluation of one checkpoint: the experiment's own metrics, and scores of its samples."""

import functools

import jax
import numpy as np

from eval import sampling, statistics
from eval.networks import NETWORKS, Network
from eval.report import shares, table
from eval.scores import Reference, Scores, mean_and_spread
from lib import checkpoints, figures
from lib.experiment import State
from lib.logging import append_json_line, first_not_finite, read_json_lines, write_events
from lib.runner import NotFiniteError, Runner

_GRID = 100  # samples in the picture


class Evaluator:
    """Evaluates checkpoints of one run. What they share is computed once."""

    def __init__(self, runner: Runner):
        self.runner, self.config = runner, runner.config
        self._generates = "sample" in runner.experiment.heads

    @functools.cached_property
    def network(self) -> Network | None:
        """What scores images; None for experiments that generate none."""
        if not self._generates:
            return None
        return NETWORKS[self.config.eval.network](self.config, self.runner.data[0])

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
        records = read_json_lines(self.runner.workdir.metrics / "eval.jsonl")
        same = lambda r: all(r.get(name) == value for name, value in self.conditions.items())
        ours = {r["step"]: r for r in records if r.get("by") == "eval" and same(r)}
        return dict(sorted(ours.items()))

    @functools.cached_property
    def _reference(self) -> Reference:
        section = self.config.eval
        held_out = self.runner.data[1]
        return statistics.reference(held_out, self.network, section.kernel_samples, section.batch_size)

    @functools.cached_property
    def _bounds(self) -> list[dict]:
        """Records of real images, the floor, and of noise, the ceiling."""
        train, held_out = self.runner.data
        section, split = self.config.eval, self.config.dataset.train_split
        n, b = section.num_samples, section.batch_size
        make = lambda: [
            self._record(f"real ({split})", sampling.real(train, n, b, 0)),
            self._record("noise", sampling.noise(train.image_shape, n // section.num_splits, b, 0)),
        ]
        numbers = (split, n, section.num_splits, section.kernel_samples)
        return statistics.records(self.network, (*numbers, train.image, held_out.image), make)

    def evaluate(self, state: State, step: int) -> dict:
        """Scores a state and records that: see `score` and `record`."""
        record = self.score(state, step)
        self.record(record)
        return record

    def record(self, record: dict) -> None:
        """Appends a record to metrics/eval.jsonl and to TensorBoard's events, and draws all of them."""
        append_json_line(self.runner.workdir.metrics / "eval.jsonl", record)
        write_events(self.runner.workdir.tensorboard / "scores", "scores", record["step"], record)
        self._draw(record)

    def score(self, state: State, step: int) -> dict:
        """Prints all scores of a state, and draws samples.

        Returns:
          The record: `step`, the experiment's own metrics, the scores of the samples and what they depend on.

        Raises:
          NotFiniteError: a score is NaN or infinite.
        """
        runner, config = self.runner, self.config
        checksum = checkpoints.checksum(jax.device_get(state))
        state = runner.place(state)
        _ = self.network and self._reference  # trained or refused before anything is printed
        print(f"\nstep {step:,} of {runner.workdir.path}")
        own = runner.evaluate(state)
        print(f"on the {config.dataset.eval_split} split of {config.dataset.name}")
        print(table([own]))
        record = {"step": step, "by": "eval", "checkpoint": checksum, **own}
        if self._generates:
            samples = self._samples(state, step)
            print("against that split: samples, real images (floor), noise (ceiling)")
            print(table([samples, *self._bounds]))
            print(f"classes of the samples: {shares(samples['classes'])}")
            record |= {name: value for name, value in samples.items() if name != "images"}
        record |= self.conditions
        numbers = {name: value for name, value in record.items() if isinstance(value, float)}
        if bad := first_not_finite([(step, numbers)]):
            raise NotFiniteError(f"step {step}: not finite: {', '.join(bad[1])}; it is not recorded")
        return record

    def _samples(self, state: State, step: int) -> dict:
        section = self.config.eval
        draw = functools.partial(sampling.generated, self.runner, state, seed=self.config.seed)
        grid = next(draw(n=_GRID, batch_size=_GRID, quiet=True))
        if not np.isfinite(grid).all():
            raise NotFiniteError(f"step {step}: not finite: samples; it is not recorded")
        figures.image_grid(grid, self.runner.workdir.figures / f"eval_{step:07}.png")
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
        values = mean_and_spread(splits)
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
        records = list(self.records().values())
        names = [n for n, v in record.items() if isinstance(v, float) and not n.endswith("_std")]
        figures.curves(records, {n: [n] for n in names}, self.runner.workdir.figures / "scores.png")
