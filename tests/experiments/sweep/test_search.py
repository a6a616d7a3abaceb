"""Searches: what is asked depends on seed and results alone; they go on after a kill, and prune."""

import json
import math
import sys

import numpy as np
import optuna
import pytest
from conftest import refusal

from experiments.sweep import main, search, sweep_folder
from experiments.sweep.goal import Goal
from experiments.sweep.search import Search
from lib import sweeps
from lib.errors import ConfigError
from lib.runtime.run_folder import RunFolder

SPACE = [sweeps.search("rate", 1e-4, 1.0, log=True), sweeps.search("n", 1, 8), sweeps.choice("kind", "ab")]
GOAL = Goal("test/loss", minimize=True)


def name_of(study: Search, trial) -> str:
    (name,) = sweeps.names([study.overrides(trial)])
    return name


def write(folder, name: str, losses, status: str = "finished", error: str = "") -> None:
    """Writes what a run leaves: its held-out losses at steps 1, 2, .., and its status."""
    run = RunFolder(folder / name)
    run.metrics.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"step": i + 1, "loss": float(loss)}) for i, loss in enumerate(losses)]
    (run.metrics / "eval.jsonl").write_text("\n".join(lines) + "\n")
    run.set_status(status, len(losses), error)


def loss_of(run: dict) -> float:
    return (math.log10(run["rate"]) + 2) ** 2 + 0.1 * run["n"]


def play(folder, trials: int, seed: int = 0) -> list[dict]:
    """Plays a search whose losses are those of `loss_of`; returns the overrides of all trials in order."""
    asked = []
    study = Search(folder, SPACE, GOAL, seed)
    while wave := study.wave(trials, jobs=1):
        for trial in wave:
            asked.append(study.overrides(trial))
            write(folder, name_of(study, trial), [loss_of(asked[-1])])
            study.tell(trial, name_of(study, trial))
    return asked


def test_fields_are_within_their_bounds_and_of_their_kinds(tmp_path):
    for run in play(tmp_path, 14):
        assert 1e-4 <= run["rate"] <= 1.0 and len(f"{run['rate']:g}") <= 12
        assert isinstance(run["n"], int) and 1 <= run["n"] <= 8
        assert run["kind"] in ("a", "b")


def test_the_same_seed_asks_the_same_also_where_it_was_stopped(tmp_path):
    whole = play(tmp_path / "whole", 18)
    first = play(tmp_path / "parts", 10)
    rest = play(tmp_path / "parts", 18)
    assert first + rest == whole
    assert play(tmp_path / "other", 10, seed=1) != first


def test_what_was_asked_before_a_kill_is_run_first(tmp_path):
    killed = Search(tmp_path, SPACE, GOAL, 0)
    asked = [killed.overrides(trial) for trial in killed.wave(20, jobs=1)]
    again = Search(tmp_path, SPACE, GOAL, 0)
    assert [again.overrides(trial) for trial in again.wave(20, jobs=1)] == asked
    assert len(again) == len(asked) == 10


def test_a_trial_that_a_kill_has_left_without_all_fields_is_completed(tmp_path):
    killed = Search(tmp_path, SPACE, GOAL, 0)
    trial = killed._study.ask()
    trial.suggest_float("rate", 1e-4, 1.0, log=True)
    (again,) = Search(tmp_path, SPACE, GOAL, 0).wave(1, jobs=1)
    assert again.params["rate"] == trial.params["rate"]
    assert list(killed.overrides(again)) == ["rate", "n", "kind"]


def test_half_a_line_at_the_end_of_the_journal_is_cut_off(tmp_path):
    first = play(tmp_path, 3)
    with (tmp_path / "optuna.journal").open("a") as journal:
        journal.write('{"op_code": 5, "wor')
    assert first + play(tmp_path, 5) == play(tmp_path / "whole", 5)


def test_a_run_that_is_killed_again_and_again_fails(tmp_path):
    study = Search(tmp_path, SPACE, GOAL, 0)
    (trial,) = study.wave(1, jobs=1)
    write(tmp_path, name_of(study, trial), [1.0], "training")  # no process does
    for _ in range(3):
        assert study.wave(1, jobs=1)
        study.tell(trial, name_of(study, trial))
    assert not study.wave(1, jobs=1)
    assert study.summary() == "1 trials: 1 failed"


def test_a_refused_trial_is_no_run_of_the_sweep(tmp_path):
    study = Search(tmp_path, SPACE, GOAL, 0)
    first, *others = study.wave(10, jobs=1)
    study.refuse(first, "does not fit")
    assert study.overrides(first) not in study.all_overrides()
    assert len(study.all_overrides()) == len(others)


def test_a_search_finds_better_than_chance(tmp_path):
    searches = [play(tmp_path / str(seed), 40, seed) for seed in range(3)]
    early, late = (
        np.mean([np.median([loss_of(run) for run in asked[part]]) for asked in searches])
        for part in (slice(10), slice(20, None))
    )
    assert late < early / 2


def test_runs_that_are_worse_are_pruned_and_failed_ones_are_told(tmp_path):
    study = Search(tmp_path, SPACE, GOAL, 0, search.make_pruner("median", 1, 3))
    wave = study.wave(20, jobs=1)
    going = [(trial, name_of(study, trial)) for trial in wave]
    for _, name in going[:6]:
        write(tmp_path, name, [1.0, 0.5, 0.4])
    write(tmp_path, going[6][1], [3.0, 2.9], "training")
    write(tmp_path, going[7][1], [0.9], "training")
    assert study.to_prune(going) == [going[6][1]]
    assert study.to_prune(going) == []  # once
    write(tmp_path, going[6][1], [3.0, 2.9], "stopped")
    write(tmp_path, going[7][1], [0.9, 0.3, 0.2])
    write(tmp_path, going[8][1], [1.0], "failed", "the disk is full")
    write(tmp_path, going[9][1], [1.0], "failed", "step 2: not finite: loss")
    for trial, name in going:
        study.tell(trial, name)
    assert study.summary().startswith("10 trials: 7 finished, 2 pruned, 1 failed; best test/loss 0.2\n")
    states = [trial.state for trial in study._study.trials]
    pruned, failed = optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.FAIL
    assert states[6:] == [pruned, optuna.trial.TrialState.COMPLETE, failed, pruned]


def test_a_metric_that_no_run_has_is_said(tmp_path):
    study = Search(tmp_path, SPACE, Goal("test/los", True), 0)
    (trial, *_) = study.wave(3, 1)
    write(tmp_path, name_of(study, trial), [1.0])
    with pytest.raises(ConfigError, match="--metric: '.*' has no test/los; did you mean 'test/loss'"):
        study.tell(trial, name_of(study, trial))


def test_another_space_in_the_same_folder_is_refused(tmp_path):
    Search(tmp_path, SPACE, GOAL, 0)
    with pytest.raises(ConfigError, match="--workdir: the search in '.*' has another space or metric"):
        Search(tmp_path, SPACE[:2], GOAL, 0)


SWEEP = """
def get_sweep(h):
    return [h.search("classifier.optimizer.learning_rate", 1e-4, 1.0, log=True)]
"""
RUNS = """
def get_sweep(h):
    return h.seeds(3)
"""
THREE = ("--trials=3", "--metric=test/loss")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "space.py"
    path.write_text(SWEEP)
    return path


@pytest.mark.program
def test_a_search_from_the_command_line_with_its_report(tmp_path, file, capsys):
    small = ("num_steps=4", "batch_size=8", "log_every=4", "eval_every=2", "checkpoint_every=4")
    small += ("classifier.model.name=logistic", "classifier.model.kwargs={}")
    arguments = [f"--sweep={file}", f"--workdir={tmp_path / 'out'}", "--cluster=here"]
    arguments += ["--metric=-test/loss", "--config=configs/classifier/digits.py"]
    arguments += [f"--config.{field}" for field in small]
    assert main.run([*arguments, "--trials=3"]) == 0
    assert "3 trials: 3 finished; best test/loss" in capsys.readouterr().out
    assert main.run([*arguments, "--trials=4"]) == 0
    assert "4 trials: 4 finished" in capsys.readouterr().out
    assert len(sweep_folder.read_sweep(tmp_path / "out").runs) == 4
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<h2>Search</h2>" in page and "history</figcaption>" in page


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        (SWEEP, ["--trials=3"], "--metric: '' is no metric; write -test/loss or test/accuracy"),
        (SWEEP, ["--trials=3", "--metric=loss"], "--metric: 'loss' is no metric"),
        (SWEEP, [], "is a search; say how many --trials and which --metric"),
        (SWEEP, ["--metric=-test/loss"], "--metric: is of a search; say how many --trials"),
        (SWEEP, ["--trials=3", "--metric=test/los"], "--metric: no test/los; did you mean 'test/loss'"),
        (SWEEP, [*THREE, "--dry_run"], "--dry_run: is not of a search; leave it out"),
        (SWEEP.replace("1.0", "float('inf')"), THREE, "cannot be searched from 0.0001 to inf"),
        (SWEEP, [*THREE, "--prune=medain"], "--prune"),
        (SWEEP, [*THREE, "--prune=median", "--cluster=here"], "--prune: runs are pruned"),
        (SWEEP.replace("learning_rate", "learning_rat"), THREE, "did you mean"),
        (RUNS, THREE, "must return a list of h."),
        (SWEEP.replace("1.0", "1e-5"), THREE, "cannot be searched from 0.0001 to 1e-05"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, text, arguments, said):
    path = tmp_path / "space.py"
    path.write_text(text)
    config = "--config=configs/classifier/digits.py"
    place = f"--workdir={tmp_path / 'out'}"
    assert said in refusal(main.main, capsys, config, f"--sweep={path}", place, *arguments)


def test_a_search_needs_optuna(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match="--trials: needs Optuna; .* install .* optuna"):
        search.optuna()
