"""Runs beside one another and beside scikit-learn: the table and the picture."""

import numpy as np
import pandas as pd
import pytest
from conftest import refusal, small_config

from experiments import plot
from experiments.eigengame import compare
from experiments.main import train
from lib.workdir import Workdir

SHORT = ("num_steps=40", "eval_every=10", "log_every=10", "checkpoint_every=40", "batch_size=64")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two seeds of mu and one run of alpha."""
    root = tmp_path_factory.mktemp("runs")
    settings = {"a": "seed=0", "b": "seed=1", "c": "eigengame.rule=alpha"}
    for name, override in settings.items():
        config = small_config("eigengame/digits", *SHORT, "eigengame.k=4", override)
        assert train(config, Workdir(root / name)) == 0
    return [str(root / name) for name in settings]


def test_seeds_are_one_curve_and_scikit_learn_has_two(folders):
    curves = compare.of_runs(folders, with_sklearn=True)
    assert [curve.label for curve in curves[:2]] == ["rule=mu", "rule=alpha"]
    assert [len(curve.records) for curve in curves] == [2, 1, 1, 1]
    first = curves[0].records[0]
    np.testing.assert_allclose(first["epoch"], first["step"] * 64 / 1500)
    assert first["seconds"].is_monotonic_increasing
    exact, incremental = (curve.records[0] for curve in curves[2:])
    assert exact["streak"].item() == 4
    assert exact["subspace_distance"].item() < 1e-5 < incremental["subspace_distance"].iloc[-1] < 0.1
    assert len(incremental) == 1500 // 64


def test_the_table_tells_when_the_streak_is_first_full():
    records = lambda *streaks: pd.DataFrame(
        {
            "epoch": range(3),
            "seconds": [0.0, 2.0, 4.0],
            "streak": streaks,
            "subspace_distance": [0.5, 0.2, 0.1],
        }
    )
    curves = [
        compare.Curve("one", [records(0, 2, 4), records(1, 4, 4)]),
        compare.Curve("two", [records(0, 3, 3)]),
    ]
    rows = [line.split() for line in compare.table(curves).splitlines()]
    assert rows[1][:8] == ["one", "2", "1.5", "+-", "0.71", "3", "+-", "1.4"]
    assert rows[2][:6] == ["two", "1", "not", "reached", "not", "reached"]


def test_the_picture_is_written(folders, tmp_path, capsys):
    assert plot.main(["eigengame", *folders, f"--out={tmp_path / 'x.png'}"]) == 0
    assert "rule=alpha" in capsys.readouterr().out
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_what_cannot_be_compared_is_refused(folders, tmp_path, capsys):
    assert "name the runs' folders first" in refusal(plot.main, capsys, "eigengame")
    assert "no run in" in refusal(plot.main, capsys, "eigengame", str(tmp_path))
    config = small_config("eigengame/digits", *SHORT, "eigengame.k=2")
    assert train(config, Workdir(tmp_path / "other")) == 0
    capsys.readouterr()
    assert "another k" in refusal(plot.main, capsys, "eigengame", folders[0], str(tmp_path / "other"))
