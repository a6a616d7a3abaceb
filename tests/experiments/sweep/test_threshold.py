"""How long runs took to a threshold."""

from pathlib import Path

import numpy as np
import pytest

from experiments.sweep import frames
from experiments.sweep.sweep_folder import Sweep, SweepRun
from experiments.sweep.threshold import until
from lib.errors import ConfigError


def sweep(**losses) -> Sweep:
    """Returns a sweep whose runs have a loss at the steps 10, 20, .., and make 5 steps a second."""
    runs = []
    for name, values in losses.items():
        records = []
        for i, value in enumerate(values):
            speed = {"train/steps_per_second": 5.0} if i else {}
            at = {"step": 10 * (i + 1), "train/model_loss": value, "test/accuracy": 1 - value}
            records.append(at | speed)
        last = records[-1]["step"]
        runs.append(SweepRun(name, {"seed": len(runs)}, "finished", "", last, "", records, None))
    return Sweep(Path(), "config", "sweep", runs)


def results(found: Sweep) -> dict:
    """Returns {run: (steps, seconds)}."""
    frame = frames.per_run(found).set_index("name")
    return {name: tuple(row[["until/steps", "until/seconds"]]) for name, row in frame.iterrows()}


def test_the_first_record_at_the_threshold_counts_and_runs_that_never_get_there_have_none():
    found = results(until(sweep(a=[0.9, 0.4, 0.1], b=[0.2, 0.6, 0.1], c=[0.9, 0.8]), "model_loss:0.4"))
    assert found["a"] == (20, pytest.approx(4))  # the first interval at the next one's speed
    assert found["b"] == (10, pytest.approx(2))
    assert np.isnan(found["c"]).all()


@pytest.mark.parametrize(
    ("asked", "step"),
    [("accuracy:0.6", 20), ("-accuracy:0.06", 10), ("-model_loss:0.9", 10), ("train/model_loss:0.1", 30)],
)
def test_losses_fall_to_it_and_others_rise_unless_a_minus_says_otherwise(asked, step):
    found = until(sweep(a=[0.95, 0.4, 0.1]), asked)
    assert results(found)["a"][0] == step
    assert found.main_metrics[:2] == ["until/steps", "until/seconds"]


def test_runs_that_were_not_timed_have_steps_alone():
    timed = sweep(a=[0.9, 0.1])
    for record in timed.runs[0].records:
        record.pop("train/steps_per_second", None)
    found = until(timed, "model_loss:0.5")
    assert "until/seconds" not in found.metrics
    assert found.runs[0].last()["until/steps"] == 20


def test_nothing_is_asked_for():
    whole = sweep(a=[0.5])
    assert until(whole, "") is whole


@pytest.mark.parametrize(
    ("asked", "message"),
    [("model_loss", "no METRIC:VALUE"), ("model_loss:x", "no METRIC:VALUE"), ("los:0.1", "--until: ")],
)
def test_bad_input_is_one_line(asked, message):
    with pytest.raises(ConfigError, match=message) as error:
        until(sweep(a=[0.5]), asked)
    assert "\n" not in str(error.value)
