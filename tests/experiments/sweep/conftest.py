"""Sweeps' folders written by hand, with known numbers."""

import itertools
import json

import numpy as np
import pytest

from lib.pictures.images import image_grid
from lib.runtime.run_folder import RunFolder

RATE, OPTIMIZER = "gan.optimizers.disc.learning_rate", "gan.optimizers.disc.name"


class FakeSweep:
    """A sweep's folder, to which runs are added one by one."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder, self.runs = folder, []

    def run(
        self, overrides, status="finished", step=0, error="", train=(), test=(), by_eval=(), samples=False
    ):
        """Adds a run; `train`, `test` and `by_eval` are records {"step": n, metric: value}."""
        name = ",".join(f"{field.rsplit('.', 1)[-1]}={value}" for field, value in overrides.items())
        self.runs.append({"name": name, "overrides": overrides})
        written = {"config": "configs/gan/digits.py", "sweep": "configs/sweeps/x.py", "runs": self.runs}
        (self.folder / "sweep.json").write_text(json.dumps(written))
        if status == "not begun":
            return
        folder = RunFolder(self.folder / name)
        folder.create()
        folder.set_status(status, step, error)
        held_out = [*test, *({"by": "eval", **record} for record in by_eval)]
        for file, records in (("train", train), ("eval", held_out)):
            lines = "".join(json.dumps(record) + "\n" for record in records)
            (folder.metrics / f"{file}.jsonl").write_text(lines)
        if samples:
            images = np.random.default_rng(len(self.runs)).uniform(-1, 1, (4, 8, 8, 1))
            image_grid(images, folder.figures / "samples_0000010.png")


@pytest.fixture
def sweep(tmp_path):
    """Makes an empty sweep."""
    return FakeSweep(tmp_path / "rates")


def loss(rate: float, optimizer: str, seed: int, step: int) -> float:
    """Returns the loss that a run of `grid` records, any smooth function."""
    return float(np.exp(-step * rate) + seed**2 * rate + (optimizer == "adam"))


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Makes 2 optimisers x 3 learning rates x 3 seeds; adam fails with the largest rate and seed 3."""
    sweep = FakeSweep(tmp_path_factory.mktemp("sweep") / "rates")
    for optimizer, rate, seed in itertools.product(("sgd", "adam"), (0.001, 0.01, 0.1), (1, 2, 3)):
        failed = (optimizer, rate, seed) == ("adam", 0.1, 3)
        steps = (5,) if failed else (5, 10)
        sweep.run(
            {OPTIMIZER: optimizer, RATE: rate, "seed": seed, "num_steps": 10},
            status="failed" if failed else "finished",
            step=steps[-1],
            error="step 6: not finite: loss" if failed else "",
            train=[{"step": n, "loss": loss(rate, optimizer, seed, n)} for n in steps],
        )
    return sweep


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Trains the runs of `small_batches.RATES`, each alone, on the first device."""
    from small_batches import trained_alone  # it imports the tests' own conftest: not while this is loaded

    return trained_alone(tmp_path_factory.mktemp("alone"))
