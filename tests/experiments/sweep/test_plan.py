"""The status of planned runs: what a sweep that goes on starts again, and what it leaves alone."""

import pytest

from experiments.sweep.plan import Planned
from lib.runtime.records import append_score
from lib.runtime.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    """Returns the folder of a run that is trained to step 6."""
    run = RunFolder(tmp_path / "run")
    run.create()
    run.set_status("finished", 6)
    return run


def status(folder: RunFolder, num_steps: int = 6, evaluate: bool = False, stop_at: str = "") -> str:
    """Returns the status of a run that is planned in a folder."""
    return Planned(folder, {}, num_steps, stop_at, evaluate, (), {}).status()


def test_a_finished_run_goes_on_only_where_its_steps_were_raised(folder):
    assert status(folder) == "finished"
    assert status(folder, num_steps=5) == "finished"
    assert status(folder, num_steps=7) == "stopped"


def test_a_run_that_reached_its_threshold_is_finished_until_that_is_another_one(folder):
    folder.set_status("finished", 6, reached="train/model_loss:0.3")
    assert status(folder, num_steps=9, stop_at="train/model_loss:0.3") == "finished"
    for other in ("train/model_loss:0.2", ""):
        assert status(folder, num_steps=9, stop_at=other) == "stopped"


def test_a_run_that_never_began_is_new_and_a_failed_one_stays_failed(folder, tmp_path):
    assert status(RunFolder(tmp_path / "none")) == "new"
    folder.set_status("failed", 3, "no memory")
    assert status(folder) == "failed"


def test_a_run_is_scored_once_at_its_last_step(folder):
    assert status(folder, evaluate=True) == "trained"
    append_score(folder.metrics, folder.tensorboard, {"step": 5, "loss": 1.0})
    assert status(folder, evaluate=True) == "trained"
    append_score(folder.metrics, folder.tensorboard, {"step": 6, "loss": 1.0})
    assert status(folder, evaluate=True) == "finished"
