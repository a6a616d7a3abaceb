"""The sharpness along training against dense Hessians, its picture, and what has no sharpness."""

import shutil

import jax
import numpy as np
import pandas as pd
import pytest
from conftest import refusal, small_config
from jax.flatten_util import ravel_pytree
from small_runs import TINY_CLASSIFIER, save_points, write_run

from analysis import sharpness, trained_game
from analysis.__main__ import main
from analysis.curves import Curve
from lib.games.eigenvalues import dense
from lib.games.operators import game_jacobian
from lib.runtime.run_folder import RunFolder

CONFIG = (*TINY_CLASSIFIER, "num_steps=2", "checkpoint_every=1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> RunFolder:
    """Saves a small classifier's checkpoints and records of two steps."""
    path = tmp_path_factory.mktemp("runs") / "run"
    records = [
        {
            "step": i,
            "epoch": 0.2 * i,
            "model_loss": 1.0,
            "model_learning_rate": 0.2,
            "steps_per_second": 5.0,
        }
        for i in (1, 2)
    ]
    write_run(path, small_config(*CONFIG), train=records)
    return save_points(path, *CONFIG, steps=[1, 2])


def test_sharpness_of_every_checkpoint_is_that_of_the_dense_hessian(folder, tmp_path, capsys):
    (curve,) = sharpness.read_curves([folder.path])
    (records,) = curve.records
    programs, batch = trained_game.open_game(folder)
    for step in (1, 2):
        _, state = folder.restore(programs.abstract_state(), step)
        matrix = dense(game_jacobian(programs.experiment.game.rule, state, batch, jax.random.key(0)))
        largest = records[records["step"] == step]["sharpness"].dropna()
        assert largest.item() > 0.1
        assert largest.item() == pytest.approx(np.linalg.eigvalsh(matrix).max(), rel=1e-3)
    np.testing.assert_allclose(records["bound"].dropna(), 2 / 0.2, rtol=1e-6)
    assert main(["sharpness", str(folder.path), f"--out={tmp_path / 'x.png'}"]) == 0
    assert capsys.readouterr().out.splitlines()[-2].split()[-1] == "0"  # checkpoints above 2/h
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_coefficients_and_shares_are_those_of_the_dense_hessian(folder, tmp_path):
    (curve,) = sharpness.read_curves([folder.path], k=3)
    (records,) = curve.records
    programs, batch = trained_game.open_game(folder)
    rule = programs.experiment.game.rule
    for step in (1, 2):
        _, state = folder.restore(programs.abstract_state(), step)
        values, vectors = np.linalg.eigh(dense(game_jacobian(rule, state, batch, jax.random.key(0))))
        coefficients = rule.dynamics.coefficients(state)
        grads = rule.dynamics.evaluate(state, coefficients, batch, jax.random.key(0)).grads
        flat = np.asarray(ravel_pytree(grads)[0], float)
        shares = (vectors.T @ flat) ** 2 / (flat @ flat)
        row = records[records["step"] == step].dropna(subset="sharpness").iloc[0]
        for i in (1, 2, 3):
            assert row[f"h lam {i}"] == pytest.approx(0.2 * values[-i], rel=1e-3)
            assert row[f"share {i}"] == pytest.approx(shares[-i], abs=1e-3)
        assert shares[-3:].sum() > 0.05
    out = tmp_path / "x.png"
    assert main(["sharpness", str(folder.path), "--k=3", f"--out={out}"]) == 0
    assert out.stat().st_size > 10_000


def test_a_rate_of_0_has_no_bound_and_stable_coefficients_of_0(folder, tmp_path):
    path = shutil.copytree(folder.path, tmp_path / "warm_up")
    file = path / "metrics/train.jsonl"
    first, second = file.read_text().splitlines()
    first = first.replace('"model_learning_rate": 0.2', '"model_learning_rate": 0.0')
    file.write_text(f"{first}\n{second}\n")
    (records,) = sharpness.read_curves([path], k=2)[0].records
    assert records["bound"].dropna().tolist() == [10.0]
    saved = records.dropna(subset="sharpness")
    assert saved["h lam 1"].iloc[0] == 0
    assert saved["h lam 1"].iloc[1] == pytest.approx(0.2 * saved["sharpness"].iloc[1])


def test_checkpoints_at_or_above_the_edge_are_counted():
    records = pd.DataFrame(
        {
            "step": [1, 2, 3, 1, 2, 3],
            "bound": [4.0, 4.0, 2.0] + [np.nan] * 3,
            "sharpness": [np.nan] * 3 + [3.9, 4.0, 2.5],
        }
    )
    row = sharpness.table([Curve("run", [records])]).splitlines()[1]
    assert row.split() == ["run", "1", "3", "4", "2.5", "2", "2"]


def test_what_has_no_sharpness_along_training_is_refused(folder, tmp_path, capsys):
    assert "name the runs' folders first" in refusal(main, capsys, "sharpness")
    shutil.copytree(folder.path, tmp_path / "one")
    shutil.rmtree(tmp_path / "one" / "checkpoints" / "1")
    error = refusal(main, capsys, "sharpness", str(tmp_path / "one"))
    assert "has 1 checkpoints; train it with a larger config.keep_checkpoints" in error


def test_a_run_of_several_players_is_refused(tmp_path, capsys):
    train = [{"step": 1, "epoch": 0.1, "steps_per_second": 1.0}]
    gan = write_run(tmp_path / "gan", small_config("gan/ring8_sgd"), train=train)
    assert "has the players disc, gen" in refusal(main, capsys, "sharpness", str(gan.path))
