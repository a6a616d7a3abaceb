"""The picture of all eigenvalues of a trained run against dense matrices, and what it refuses."""

import jax
import numpy as np
import pytest
from conftest import refusal
from small_runs import TINY_CLASSIFIER, save_points

from analysis import density, trained_game
from analysis.__main__ import main
from lib.games.density import Density
from lib.games.eigenvalues import dense
from lib.games.operators import gauss_newton, hessian


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Saves a small classifier's run, for the whole module."""
    return save_points(tmp_path_factory.mktemp("runs") / "classifier", *TINY_CLASSIFIER, steps=[2])


def test_numbers_are_those_of_the_dense_matrices(folder, tmp_path, capsys):
    found = density.compute(str(folder.path), None, probes=30, depth=60, examples=8, batches=2)
    programs, batch = trained_game.open_game(folder, 16)
    _, state = folder.restore(programs.abstract_state())
    rule = programs.experiment.game.rule
    for name, matrix in {"Hessian": hessian, "Gauss-Newton": gauss_newton}.items():
        values = np.linalg.eigvalsh(dense(matrix(rule, state, batch, jax.random.key(0), "model")))
        trace, error = found[name].moment(1)
        assert error < 0.3 * np.abs(values).sum()
        assert abs(trace - values.sum()) < 4 * error
        assert found[name].nodes.max() == pytest.approx(values.max(), rel=1e-3)
    out = tmp_path / "density.png"
    assert main(["density", str(folder.path), "--probes=2", "--depth=5", f"--out={out}"]) == 0
    assert out.stat().st_size > 1000
    assert capsys.readouterr().out.count("+-") == 2


def test_bad_input_is_one_line(folder, capsys, tmp_path):
    for arguments, text in (
        ([], "name the runs' folders first"),
        ([str(folder.path), str(folder.path)], "name one run"),
        ([str(folder.path), "--player=modl"], "did you mean 'model'"),
        ([str(folder.path), "--batches=1000000"], "too many; use at most"),
        ([str(folder.path), "--examples=0"], "--examples: 0 does not fit"),
        ([str(folder.path), "--out=x.txt"], "must end in"),
        ([str(tmp_path / "none")], "none"),
    ):
        assert text in refusal(main, capsys, "density", *arguments)


def test_a_matrix_that_is_0_is_drawn(tmp_path):
    zero = Density(10, np.zeros((2, 3)), np.array([[1.0, 0, 0]] * 2))
    density.draw({"Gauss-Newton": zero}).savefig(tmp_path / "density.png")
    assert density.table({"Gauss-Newton": zero}).split()[-1] == "0"
