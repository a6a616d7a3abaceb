"""Results of a figure's runs by their labels, means with intervals, and what findings say of them."""

import numpy as np
import pytest

from analysis.reproduce.findings import above, all_of, below, less, more, near, ranks
from analysis.reproduce.paper import Figure, Scale, Training
from analysis.reproduce.results import Mean, Results, mean_of
from experiments.sweep.sweep_folder import SweepRun
from lib.errors import ConfigError

METHODS = {"slow": {"seed_of": 1}, ("fast", 2): {"seed_of": 2}}
FIGURE = Figure("f", "", [], {"t": Training("c", METHODS, {Scale.LAPTOP: 2, Scale.SMOKE: 2})})


def run(name: str, values, status: str = "finished") -> SweepRun:
    records = [{"step": step, "test/loss": value} for step, value in values]
    return SweepRun(name, {}, status, "", None, "", records, None)


def results(scale=Scale.LAPTOP, *runs) -> Results:
    found = Results(FIGURE, scale, None)
    found._runs["t"] = list(runs)
    return found


RUNS = (
    run("a", [(1, 3.0), (2, 2.0)]),
    run("b", [(1, 5.0), (2, 4.0)]),
    run("c", [(1, 0.5), (2, 1.0)]),
    run("d", [(1, 0.5)], "failed"),
)


def test_values_are_those_of_the_label_s_seeds():
    found = results(Scale.LAPTOP, *RUNS)
    assert found.last("t", "slow", "test/loss").values.tolist() == [2, 4]
    assert found.best("t", "slow", "test/loss").values.tolist() == [3, 5]
    assert found.best("t", "slow", "test/loss", least=True).values.tolist() == [2, 4]
    first, second = found.curves("t", "slow", "test/loss")
    assert first.steps.tolist() == [1, 2] and second.values.tolist() == [5, 4]
    with pytest.raises(KeyError, match="no method"):
        found.last("t", "other", "test/loss")


def test_in_a_smoke_run_the_last_method_stands_for_the_others():
    training = Training("c", {n: {"x": n} for n in range(4)}, {Scale.SMOKE: 1, Scale.LAPTOP: 1})
    assert [run["x"] for run in training.runs(Scale.SMOKE)] == [3]
    assert [run["x"] for run in training.runs(Scale.LAPTOP)] == [0, 1, 2, 3]
    found = Results(Figure("f", "", [], {"t": training}), Scale.SMOKE, None)
    found._runs["t"] = list(RUNS[:1])
    assert [found.runs("t", n)[0].name for n in range(4)] == ["a"] * 4


def test_methods_with_fewer_seeds_have_them_at_the_laptop_s_scale():
    training = Training("c", METHODS, {Scale.LAPTOP: 3, Scale.PAPER: 3}, fewer={"slow": 1})
    assert [run["seed_of"] for run in training.runs(Scale.LAPTOP)] == [1, 2, 2, 2]
    assert len(training.runs(Scale.PAPER)) == 6
    assert training.describe_seeds(Scale.LAPTOP) == "3 seeds (1 of slow)"
    assert training.describe_seeds(Scale.PAPER) == "3 seeds"
    found = Results(Figure("f", "", [], {"t": training}), Scale.LAPTOP, None)
    found._runs["t"] = list(RUNS)
    assert [run.name for run in found.runs("t", "slow")] == ["a"]
    assert [run.name for run in found.runs("t", ("fast", 2))] == ["b", "c", "d"]


def test_a_run_that_failed_makes_the_mean_no_number():
    mean = results(Scale.LAPTOP, *RUNS).last("t", ("fast", 2), "test/loss")
    assert np.isnan(mean.mean)
    assert not less("fast", mean, "slow", 100.0).holds
    assert not more("fast", mean, "slow", -100.0).holds


def test_a_metric_that_is_not_there_is_refused_but_in_smoke_runs():
    with pytest.raises(ConfigError, match="has no test/los; did you mean 'test/loss'"):
        results(Scale.LAPTOP, *RUNS).last("t", "slow", "test/los")
    assert np.isnan(results(Scale.SMOKE, *RUNS).last("t", "slow", "test/los").mean)


def test_intervals_are_those_of_a_bootstrap():
    values = np.random.default_rng(0).normal(3, 1, 40)
    mean = mean_of(values)
    error = values.std() / np.sqrt(40)
    assert mean.mean == pytest.approx(values.mean())
    assert mean.low == pytest.approx(values.mean() - 1.96 * error, abs=0.4 * error)
    assert mean.high == pytest.approx(values.mean() + 1.96 * error, abs=0.4 * error)
    assert str(mean_of(np.array([2.0]))) == "2"
    assert str(mean_of(np.array([1.0, 1.0]))) == "1 [1, 1]"
    assert mean_of(np.array([1.0, np.nan])).mean != mean_of(np.array([1.0, np.nan])).mean


@pytest.mark.parametrize(
    ("finding", "holds"),
    [
        (less("a", 1.0, "b", 2.0), True),
        (less("a", 1.0, "b", 2.0, factor=3), False),
        (less("a", float("nan"), "b", 2.0), False),
        (less("a", 1.0, "b", float("nan")), True),  # what diverged is the largest
        (less("a", float("nan"), "b", float("nan")), False),
        (more("a", 2.0, "b", 1.0), True),
        (more("a", float("nan"), "b", 1.0), False),
        (near("a", 1.0, 1.05, 0.1), True),
        (near("a", 1.0, 1.2, 0.1), False),
        (near("a", float("nan"), 1.0, 0.1), False),
        (below("a", 1.0, 1.0), True),
        (below("a", float("nan"), 1.0), False),
        (above("a", 1.0, 1.0), True),
        (above("a", float("nan"), 0.0), False),
        (all_of(near("a", 1, 1, 1), near("a", 1, 9, 1)), False),
    ],
)
def test_findings_hold_where_they_should(finding, holds):
    assert finding.holds is holds
    assert finding.ours


def test_ranks_order_means_and_nothing_comes_after_all():
    means = {x: Mean(np.array([v]), v, v) for x, v in {"a": 2.0, "b": 1.0, "c": float("nan")}.items()}
    assert ranks("b", means, 1).holds
    assert not ranks("a", means, 1).holds
    assert ranks("a", means, 1, largest=True).holds
    assert not ranks("c", means, 3).holds
    assert ranks("b", means, 1).ours.startswith("b 1 < a 2")
