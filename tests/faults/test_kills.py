"""Programs that are killed at random moments, and the same command after that."""

import json
import time
from pathlib import Path

import forked
import jax
import pytest
from campaign import EVAL, RUN, SWEEP, TRAIN, TRAIN_EVAL, assert_no_litter, checksum
from conftest import largest_difference

from experiments import registry
from lib.runtime import checkpoints, records
from lib.runtime.run_folder import RunFolder

pytestmark = pytest.mark.program

STEPS = 24
LONG = [*RUN, f"--config.num_steps={STEPS}"]
KEPT = "--config.keep_checkpoints=20"  # all of them: none is dropped before it is scored
_BEFORE_THE_END = 0.9  # seconds: no program is done then
SWEEP_FILE = "def get_sweep(h):\n    return h.seeds(3)\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Trains and scores without a kill; returns the run's folder."""
    root = tmp_path_factory.mktemp("whole")
    ended = forked.run(TRAIN_EVAL, *LONG, KEPT, f"--workdir={root / 'run'}", log=root / "log")
    assert ended.code == 0, ended
    return root / "run"


def kill_at_random(module, args, log, random, kills: int, longest: float = 2.0) -> None:
    """Starts a program and kills it at a random moment, and so on; the first kill comes before its end."""
    killed = 0
    for i in range(kills):
        program = forked.Program(module, *args, log=log)
        until = time.monotonic() + random.uniform(0, longest if i else _BEFORE_THE_END)
        while time.monotonic() < until and program.running:
            time.sleep(0.005)
        killed += program.running
        program.kill()
    print(f"{killed} of {kills} kills came before the end")
    assert killed or not kills


def last_state(folder: RunFolder):
    """Returns the state that a run saved last."""
    programs = registry.open_run(folder, use_devices=jax.local_devices()[:1])
    return folder.restore(programs.abstract_state())[1]


def lines(records_of_run: list[dict]) -> list[dict]:
    """Returns records without the times in them."""
    return [{k: v for k, v in record.items() if k != "steps_per_second"} for record in records_of_run]


def assert_same_run(run: Path, whole: Path) -> None:
    """Asserts that a run has the arrays, the records and the pictures of one that was never killed."""
    assert checksum(run) == checksum(whole)
    for read in (records.read_training, records.read_held_out):
        assert lines(read(run / "metrics")) == lines(read(whole / "metrics"))
    scores = "scores.png"  # of the evaluator
    pictures, theirs = ({p.name for p in (r / "figures").iterdir()} - {scores} for r in (run, whole))
    assert pictures == theirs
    assert RunFolder(run).status() == {"status": "finished", "step": STEPS, "error": ""}


def assert_scored_once(run: Path, whole: Path) -> None:
    """Asserts that all checkpoints have one score, and the best is kept, as in a run without kills."""
    scores, theirs = (
        sorted(records.read_scores(r / "metrics"), key=lambda record: record["step"]) for r in (run, whole)
    )
    assert [record["step"] for record in scores] == list(range(2, STEPS + 1, 2))
    assert scores == theirs
    assert_no_litter(run, most=20)
    kept = [checkpoints.steps(r / "best" / "checkpoints") for r in (run, whole)]
    assert kept[0] == kept[1]
    assert checksum(run / "best") == checksum(whole / "best")


def test_killed_training_ends_as_if_it_had_not_been(whole, tmp_path, random, rounds):
    run, log = tmp_path / "run", tmp_path / "log"
    for i in range(rounds):
        args = [*LONG, f"--workdir={run / str(i)}"]
        kill_at_random(TRAIN, args, log, random, kills=4)
        ended = forked.run(TRAIN, *args, log=log)
        assert ended.code == 0, ended
        assert_same_run(run / str(i), whole)
        assert_no_litter(run / str(i))
        assert len(checkpoints.steps(run / str(i) / "checkpoints")) == 3


def test_killed_train_eval_scores_everything_once(whole, tmp_path, random, rounds):
    run, log = tmp_path / "run", tmp_path / "log"
    for i in range(rounds):
        args = [*LONG, KEPT, f"--workdir={run / str(i)}"]
        kill_at_random(TRAIN_EVAL, args, log, random, kills=2, longest=6.0)
        ended = forked.run(TRAIN_EVAL, *args, log=log)
        assert ended.code == 0, ended
        assert_same_run(run / str(i), whole)
        assert_scored_once(run / str(i), whole)


def test_killed_followers_score_everything_once(whole, tmp_path, random, rounds):
    run, log = tmp_path / "run", tmp_path / "log"
    for i in range(rounds):
        ended = forked.run(TRAIN, *LONG, KEPT, f"--workdir={run / str(i)}", log=log)
        assert ended.code == 0, ended
        args = [f"--workdir={run / str(i)}", "--follow"]
        kill_at_random(EVAL, args, log, random, kills=2)
        ended = forked.run(EVAL, *args, log=log)
        assert ended.code == 0, ended
        assert_scored_once(run / str(i), whole)
        assert_same_run(run / str(i), whole)


@pytest.mark.parametrize(("lanes", "rounding"), [(1, 0.0), (2, 2e-6)])
def test_a_killed_sweep_ends_as_if_it_had_not_been(tmp_path, random, rounds, lanes, rounding):
    file, log = tmp_path / "sweep.py", tmp_path / "log"
    file.write_text(SWEEP_FILE)
    sweep = [*RUN, "--config.num_steps=8", f"--sweep={file}", f"--lanes={lanes}"]  # one process trains all
    results = []
    for i, kills in enumerate((0, *[2] * rounds)):
        args = [*sweep, f"--workdir={tmp_path / str(i)}"]
        kill_at_random(SWEEP, args, log, random, kills, longest=8.0)
        ended = forked.run(SWEEP, *args, log=log)
        assert ended.code == 0, ended
        runs = json.loads((tmp_path / str(i) / "sweep.json").read_text())["runs"]
        results.append([last_state(RunFolder(tmp_path / str(i) / run["name"])) for run in runs])
        assert len(runs) == 3
    assert largest_difference(results[0][0], results[0][1]) > 1e-3
    assert all(largest_difference(result, results[0]) <= rounding for result in results)
