"""EigenGame runs and scikit-learn in one table and one picture."""

import numpy as np
import pytest
from conftest import refusal, small_config
from small_runs import train_run, write_run

from analysis import eigengame, history, sklearn_pca
from analysis.__main__ import main
from lib.errors import ConfigError

METRICS = {"streak": 3, "subspace_distance": 0.01}
SETTINGS = ("eigengame.k=4", "batch_size=300", "num_steps=20", "eval_every=5")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> str:
    """Trains four epochs, for the whole module; returns the folder."""
    return str(train_run(tmp_path_factory.mktemp("runs") / "run", "eigengame/digits", *SETTINGS).path)


@pytest.fixture
def record(tmp_path):
    """Returns a function that writes what a short run leaves in a folder of that name."""

    def write(name: str, *overrides: str, **metrics: float) -> str:
        config = small_config("eigengame/digits", *SETTINGS, *overrides)
        train = [{"step": 5, "epoch": 1.0, "steps_per_second": 10.0}]
        return str(write_run(tmp_path / name, config, train=train, eval=[{"step": 5, **metrics}]).path)

    return write


def test_runs_over_seeds_are_one_curve(record):
    paths = [record(f"{i}", f"seed={i}", **METRICS) for i in range(2)]
    (curve,) = eigengame.read_curves(paths)
    assert curve.label == "0"
    assert len(curve.records) == 2
    fast = record("2", "eigengame.optimizer.learning_rate=0.2", **METRICS)
    curves = eigengame.read_curves([*paths, fast])
    assert [(c.label, len(c.records)) for c in curves] == [
        ("learning_rate=0.1", 2),
        ("learning_rate=0.2", 1),
    ]


def test_epochs_and_seconds_stand_beside_steps(trained):
    held_out = history.read(trained).held_out
    np.testing.assert_allclose(held_out["epoch"], [1, 2, 3, 4])  # batches of 300 of 1,500 rows
    seconds = held_out["seconds"].to_numpy()
    assert seconds[0] > 0 and (np.diff(seconds) > 0).all()


def test_scikit_learn_is_measured_against_the_same_components(trained):
    curves = {c.label: c.records[0] for c in eigengame.read_curves([trained], with_sklearn=True)}
    assert list(curves) == ["run", "scikit-learn PCA", "scikit-learn IncrementalPCA"]
    exact, incremental = curves["scikit-learn PCA"], curves["scikit-learn IncrementalPCA"]
    assert exact["streak"].item() == 4
    assert 0 <= exact["subspace_distance"].item() < 1e-6
    assert list(incremental["epoch"]) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    # All rows in one epoch: nearly the exact components, but not quite.
    assert 1e-6 < incremental["subspace_distance"].iloc[-1] < 0.1


def test_scikit_learn_sees_the_examples_that_are_not_held_out(record):
    held_out = record("held_out", "dataset.validation_size=300", "dataset.eval_split=validation", **METRICS)
    _, incremental = sklearn_pca.sklearn_curves(history.read(held_out))
    assert list(incremental.records[0]["epoch"]) == [0.25, 0.5, 0.75, 1.0]  # of 1,200


def test_the_table_says_when_streaks_were_full(record, tmp_path, capsys):
    out = tmp_path / "picture.png"
    assert not main(["eigengame", record("run", **METRICS), "--sklearn", f"--out={out}"])
    lines = {line.strip().split("  ")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "not reached" in lines["run"]
    assert "not reached" not in lines["scikit-learn PCA"]
    assert out.stat().st_size > 10_000


def test_what_cannot_be_compared_is_refused(record, tmp_path, capsys):
    path = record("run", **METRICS)
    for other, message in {
        record("k", "eigengame.k=5", **METRICS): "other data or another k",
        record("blind", captured_variance=0.5): "has no streak",
        str(tmp_path): "no run in",
    }.items():
        with pytest.raises(ConfigError, match=message):
            eigengame.read_curves([path, other])
    for name, override, message in (
        ("uncentred", "eigengame.mean=none", "centres rows by their mean"),
        ("few", "batch_size=3", "needs batches of at least k = 4 rows"),
        ("large", "dataset.device_limit_gb=1e-6", "needs all rows in memory"),
    ):
        with pytest.raises(ConfigError, match=message) as error:
            eigengame.read_curves([record(name, override, **METRICS)], with_sklearn=True)
        assert error.value.field == "plot eigengame"
    assert "name the runs' folders first" in refusal(main, capsys, "eigengame")
