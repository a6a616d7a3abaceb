"""The benchmark on tiny shapes: what it prints, what it counts, what it refuses."""

import functools

import jax
import numpy as np
import pytest
from conftest import refusal

from benchmarks import eigengame as bench
from benchmarks import race, timing
from lib import eigengame, optimizers
from lib.eigengame.pca.steps import step

SMALL = ["--shapes=20x3x32", "--middle=16x2x32", "--rounds=1", "--data=digits", "--vectors=2", "--limit=0"]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(timing, "_SQUARES", (64,))
    monkeypatch.setattr(timing, "_PAUSE", 0)
    monkeypatch.setattr(bench, "_TURN", 0)
    monkeypatch.setattr(bench, "_EXAMPLES", 50)


def test_it_prints_steps_growth_and_a_race(quick, capsys):
    assert bench.main([*SMALL, "--batch=256"]) == 0
    printed = capsys.readouterr().out
    lines = {line.strip().rsplit("  ")[0]: line.split() for line in printed.splitlines()}
    for name in (
        "64 x 64 square product",
        "X V^T",
        "Y^T X",
        *(f"step of {rule}" for rule in eigengame.PCA_RULES),
    ):
        best, median, rate, percent = map(float, lines[name][-4:])
        assert 0 < best <= median and rate >= 0 and percent >= 0
    for source in ("gathered, 8-bit images", "drawn, linear spectrum"):
        assert float(lines[f"batch {source}"][-1]) > 0
    for name in ("d = 16", "k = 2", "b = 32"):
        assert np.isfinite(float(lines[name][-1]))
    assert printed.count("not reached in 0 s (streak 0)") == 2 * 3  # methods, seeds


@pytest.mark.parametrize("peak_seconds, warns", [(1e-9, False), (1e9, True)])
def test_rates_above_the_peak_are_called_unreliable(quick, monkeypatch, capsys, peak_seconds, warns):
    monkeypatch.setattr(
        bench, "in_turns", lambda works, *_: {n: [peak_seconds if "square" in n else 1.0] for n in works}
    )
    bench.print_steps(bench.Shape(20, 3, 32), 1)
    assert ("measure again when it is idle" in capsys.readouterr().out) == warns


def test_both_methods_find_components_that_are_far_apart():
    rows = np.random.default_rng(0).standard_normal((500, 5)) * [5, 2, 1, 0.5, 0.1]
    exact, mu, incremental = race.race(rows, k=2, batch_size=100, learning_rate=0.0, seeds=2, limit=60)
    assert exact[0].startswith("scikit-learn PCA") and exact[1].endswith(" s")
    assert mu[0].startswith("EigenGame mu") and incremental[0].endswith("IncrementalPCA")
    assert all(cell.endswith(" batches") for cell in mu[1:] + incremental[1:])
    assert len(mu) == len(incremental) == 3


def test_a_run_that_takes_too_long_is_stopped():
    rows = np.random.default_rng(0).standard_normal((40, 5))
    exact, *others = race.race(rows, k=2, batch_size=10, learning_rate=0.1, seeds=1, limit=0)
    assert exact[1].endswith(" s")
    assert [line[1] for line in others] == ["not reached in 0 s (streak 0)"] * 2


def test_operations_are_those_of_the_compiled_step_but_for_small_ones():
    shape = bench.Shape(d=128, k=64, b=256)
    optimizer = optimizers.make("sgd", 1e-4, {"momentum": 0.9, "nesterov": True})
    vectors = jax.ShapeDtypeStruct((shape.k, shape.d), np.float32)
    opt_state = jax.eval_shape(lambda v: eigengame.initial_optimizers(optimizer, v), vectors)
    rows = jax.ShapeDtypeStruct((shape.b, shape.d), np.float32)
    program = jax.jit(functools.partial(step, eigengame.PCA_RULES["mu"], optimizer))
    counted = program.lower(vectors, opt_state, rows).compile().cost_analysis()["flops"]
    assert shape.operations < counted < 1.05 * shape.operations


@pytest.mark.parametrize(
    "options, says",
    [
        ("--shapes=20x3", "--shapes: '20x3' is no shape; write features x vectors x batch"),
        ("--shapes=20x3x0", "is no shape"),
        ("--middle=16xtwox32", "--middle: '16xtwox32' is no shape"),
        ("--middle=16x17x32", "use at most 16"),
        ("--rounds=0", "rounds"),
        ("--batch=8 --vectors=9", "use at most 8"),
        ("--data=missing.npy", "--data: "),
        ("--vectors=65", "--vectors: 65 do not fit the data or the batch; use at most 64"),
        ("--config.seed=1", "there is no config to set"),
        ("--shape=20x3x32", "shape"),
        ("extra", "unexpected argument 'extra'"),
    ],
)
def test_bad_options_are_refused(options, says, capsys):
    assert says in refusal(bench.main, capsys, *SMALL, *options.split())


def test_data_with_nan_are_refused(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.full((20, 4), np.nan))
    assert "holds nan in row 0" in refusal(bench.main, capsys, *SMALL, f"--data={tmp_path / 'x.npy'}")
