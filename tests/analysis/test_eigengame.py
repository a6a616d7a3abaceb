"""EigenGame runs and scikit-learn in one table and one picture."""

import json

import jax
import numpy as np
import pytest
from conftest import refusal, small_config

from analysis import eigengame, history, plot
from experiments import registry
from lib.errors import ConfigError
from lib.runtime.run_folder import RunFolder
from lib.runtime.trainer import Trainer

FOUND = {"streak": 3, "subspace_distance": 0.01}


def settings(*overrides: str):
    return small_config(
        "eigengame/digits", "eigengame.k=4", "batch_size=300", "num_steps=20", "eval_every=5", *overrides
    )


@pytest.fixture
def train(tmp_path):
    """Trains in a folder of that name as ./run.sh train does."""

    def run(name: str, *overrides: str) -> str:
        raw = settings(*overrides)
        workdir = RunFolder(tmp_path / name)
        workdir.create()
        programs = registry.programs(registry.validated(raw), jax.local_devices()[:1])
        trainer = Trainer(programs, workdir)
        trainer.train(trainer.programs.init(), 0)
        workdir.write_config(raw)
        return str(workdir.path)

    return run


@pytest.fixture
def record(tmp_path):
    """Writes what a short run leaves in a folder of that name."""

    def write(name: str, *overrides: str, **metrics: float) -> str:
        workdir = RunFolder(tmp_path / name)
        workdir.create()
        workdir.write_config(settings(*overrides))
        for file, found in {"train": {"epoch": 1.0, "steps_per_second": 10.0}, "eval": metrics}.items():
            (workdir.metrics / f"{file}.jsonl").write_text(json.dumps({"step": 5, **found}) + "\n")
        return str(workdir.path)

    return write


def test_runs_over_seeds_are_one_curve(record):
    paths = [record(f"{i}", f"seed={i}", **FOUND) for i in range(2)]
    (curve,) = eigengame.of_runs(paths)
    assert curve.label == "0"
    assert len(curve.records) == 2
    fast = record("2", "eigengame.optimizer.learning_rate=0.2", **FOUND)
    curves = eigengame.of_runs([*paths, fast])
    assert [(c.label, len(c.records)) for c in curves] == [
        ("learning_rate=0.1", 2),
        ("learning_rate=0.2", 1),
    ]


def test_epochs_and_seconds_stand_beside_steps(train):
    found = history.read(train("run"))
    np.testing.assert_allclose(found.held_out["epoch"], [1, 2, 3, 4])  # batches of 300 of 1,500 rows
    seconds = found.held_out["seconds"].to_numpy()
    assert seconds[0] > 0 and (np.diff(seconds) > 0).all()


def test_scikit_learn_is_measured_against_the_same_truth(train):
    """Exact PCA is the truth; incremental PCA has seen all rows in one epoch, and nearly finds it."""
    curves = {c.label: c.records[0] for c in eigengame.of_runs([train("run")], with_sklearn=True)}
    assert list(curves) == ["run", "scikit-learn PCA", "scikit-learn IncrementalPCA"]
    exact, incremental = curves["scikit-learn PCA"], curves["scikit-learn IncrementalPCA"]
    assert exact["streak"].item() == 4
    assert 0 <= exact["subspace_distance"].item() < 1e-6
    assert list(incremental["epoch"]) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert 1e-6 < incremental["subspace_distance"].iloc[-1] < 0.1


def test_the_table_tells_when_streaks_were_full(train, tmp_path, capsys):
    path = train("run", "eigengame.optimizer.learning_rate=0.01", "num_steps=5")
    assert not plot.main(["eigengame", path, "--sklearn", f"--out={tmp_path / 'picture.png'}"])
    lines = {line.strip().split("  ")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "not reached" in lines["run"]
    assert "not reached" not in lines["scikit-learn PCA"]
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_what_cannot_be_compared_is_refused(record, tmp_path, capsys):
    path = record("run", **FOUND)
    for other, message in {
        record("k", "eigengame.k=5", **FOUND): "other data or another k",
        record("blind", captured_variance=0.5): "has no streak",
        str(tmp_path): "no run in",
    }.items():
        with pytest.raises(ConfigError, match=message):
            eigengame.of_runs([path, other])
    uncentred = record("uncentred", "eigengame.mean=none", **FOUND)
    with pytest.raises(ConfigError, match="centres rows by their mean"):
        eigengame.of_runs([uncentred], with_sklearn=True)
    few = record("few", "batch_size=3", **FOUND)
    with pytest.raises(ConfigError, match="needs batches of at least k = 4 rows"):
        eigengame.of_runs([few], with_sklearn=True)
    assert "name the runs' folders first" in refusal(plot.main, capsys, "eigengame")
