"""The benchmark of sweeps: what it prints, what it refuses."""

import pytest
from conftest import refusal

from benchmarks import sweep


@pytest.mark.program
def test_it_prints_runs_a_minute_of_each_way(monkeypatch, capsys):
    overrides = ("num_steps=2", "batch_size=8", "log_every=2", "eval_every=0", "checkpoint_every=2")
    tiny = sweep.Case("classifier/digits", "", 3, (*overrides, "classifier.model.name=logistic"))
    monkeypatch.setattr(sweep, "CASES", {"tiny": tiny})
    assert sweep.main(["--cases=tiny", "--alone=2", "--lanes=3"]) == 0
    head, row = capsys.readouterr().out.splitlines()[-2:]
    assert head.split()[:2] == ["case", "runs"]
    name, runs, *rates = row.split()
    assert (name, runs) == ("tiny", "3")
    assert rates[3:5] == ["3", "lanes"]
    numbers = [float(rate) for rate in (*rates[:3], *rates[5:])]
    assert numbers[3] == pytest.approx(numbers[1] / numbers[0], rel=0.05)
    assert numbers[4] == pytest.approx(numbers[2] / numbers[0], rel=0.05)


def test_runs_of_a_case_are_spread_over_its_sweep():
    grid = sweep.runs_of(sweep.CASES["grid"], 0)
    assert len(grid) == 36
    assert sweep.spread(grid, 4) == grid[::9]
    assert sweep.spread(grid, 40) == grid
    assert sweep.runs_of(sweep.CASES["digits"], 3) == [{"seed": seed} for seed in range(3)]


def test_bad_options_and_failing_sweeps_are_refused(monkeypatch, capsys):
    assert "--alone" in refusal(sweep.main, capsys, "--alone=1")
    assert "--cases" in refusal(sweep.main, capsys, "--cases=nothing")
    broken = sweep.Case("classifier/digits", "", 2, ("num_stepz=2",))
    monkeypatch.setattr(sweep, "CASES", {"broken": broken})
    assert "did you mean 'num_steps'" in refusal(sweep.main, capsys, "--cases=broken")
