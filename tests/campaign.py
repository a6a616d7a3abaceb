"""What the tests of faults share: a short run, and what every fault must leave: few lines, no litter."""

from pathlib import Path
from typing import NamedTuple

from conftest import ROOT
from forked import Ended

from lib.runtime import checkpoints, seals

TRAIN, EVAL, TRAIN_EVAL = "experiments.main", "eval.main", "eval.train_eval"
SWEEP = "experiments.sweep.main"
LAST = 8  # step of a finished run
RUN = [f"--config={ROOT}/configs/classifier/digits.py", "--config.classifier.model.name=logistic"]
RUN += ["--config.classifier.augmentation.crop_padding=1", "--config.batch_size=8", "--config.log_every=1"]
RUN += ["--config.eval_every=2", "--config.checkpoint_every=2", "--config.figures_every=4"]
SWEEP_JSON = '{"config": "c", "sweep": "s", "runs": [{"name": "run", "overrides": {"seed": 0}}]}'


class Sound(NamedTuple):
    """A folder with a run that nothing happened to.

    Attributes:
      folder: of a sweep, in which the run's is `run`.
      at_last: checksum of its state of step LAST.
    """

    folder: Path
    at_last: str


def checksum(run: Path) -> str:
    """Returns the checksum of the arrays of a run's newest checkpoint."""
    folder = run / "checkpoints"
    return seals.verify(folder / str(checkpoints.steps(folder)[-1])).checksum


def assert_few_lines(ended: Ended) -> None:
    """Asserts that a program went on, or ended with exit code 1 or 2 and at most three lines of errors."""
    text = f"{ended.out}\n-- errors --\n{ended.err}"
    assert "Traceback" not in text, text
    assert ended.code in (0, 1, 2), text
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(errors) == (ended.code != 0), text
    assert len(ended.err.splitlines()) <= 3, text


def assert_no_litter(run: Path, most: int = 3) -> None:
    """Asserts that nothing half-written is left in a run's folder, and no more checkpoints than `most`."""
    litter = [p for p in run.rglob("*") if p.name.endswith(".tmp") or "orbax-checkpoint-tmp" in p.name]
    assert not litter, [str(path.relative_to(run)) for path in litter]
    assert len(checkpoints.steps(run / "checkpoints")) <= most
