"""Slices of a loss along the Hessian's top eigenvectors against dense ones, and what is refused."""

import jax
import numpy as np
import pytest
from conftest import refusal
from jax.flatten_util import ravel_pytree
from small_runs import TINY_CLASSIFIER, save_points

from analysis import landscape, trained_game
from analysis.__main__ import main
from lib.games.eigenvalues import dense
from lib.games.operators import hessian


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_points(tmp_path_factory.mktemp("runs") / "run", *TINY_CLASSIFIER, steps=[1, 2, 3])


@pytest.fixture(scope="module")
def point(folder):
    """Returns (where, flat parameters of all checkpoints) of the newest checkpoint."""
    programs, batch = trained_game.open_game(folder)
    states = [folder.restore(programs.abstract_state(), step)[1] for step in (1, 2, 3)]
    where = (programs.experiment.game.rule, states[-1], batch, jax.random.key(0), "model")
    flats = [np.asarray(ravel_pytree(state.params["model"])[0], float) for state in states]
    return where, np.stack(flats)


def test_the_slice_is_along_the_top_eigenvectors_of_the_dense_hessian(point):
    where, points = point
    directions = landscape._top_two(where)
    values, vectors = np.linalg.eigh(dense(hessian(*where)))
    np.testing.assert_allclose(np.abs(vectors[:, :-3:-1].T @ directions.T), np.eye(2), atol=1e-2)
    found = landscape.compute("run", where, directions, [1, 2, 3], points, 5)
    np.testing.assert_allclose(found.curvature, values[:-3:-1], rtol=1e-3)
    apart = points - points[-1]
    assert np.linalg.norm(apart[0]) > 0.1
    np.testing.assert_allclose(found.path, apart @ directions.T, rtol=1e-6)
    shares = ((apart[:2] @ directions.T) ** 2).sum(1) / (apart[:2] ** 2).sum(1)
    np.testing.assert_allclose(found.share, [*shares, np.nan], rtol=1e-6)


def test_losses_are_those_of_the_parameters_there(point):
    where, points = point
    rule, state, batch, key, player = where
    directions = landscape._top_two(where)
    found = landscape.compute("run", where, directions, [1, 2, 3], points, 5)
    _, unravel = ravel_pytree(state.params[player])
    for j, i in ((0, 0), (4, 1), (2, 3)):
        flat = points[-1] + found.along[0][i] * directions[0] + found.along[1][j] * directions[1]
        there = {player: unravel(np.asarray(flat, np.float32))}
        losses, _ = rule.dynamics.game.losses(there, state.net_state, batch, key)
        assert found.losses[j, i] == pytest.approx(float(losses[player]), rel=1e-5)
    assert np.ptp(found.losses) > 0.1
    for i in range(2):  # the whole path is seen
        assert found.along[i][0] < found.path[:, i].min()
        assert found.along[i][-1] > found.path[:, i].max()


def test_directions_are_saved_and_used_on_another_checkpoint(folder, tmp_path, capsys):
    file, out = tmp_path / "directions.npy", tmp_path / "x.png"
    arguments = ["--points=3", f"--out={out}"]
    assert main(["landscape", str(folder.path), *arguments, f"--save_directions={file}"]) == 0
    saved = np.load(file)
    np.testing.assert_allclose(saved @ saved.T, np.eye(2), atol=1e-5)
    step = str(folder.checkpoints / "1")
    assert main(["landscape", step, *arguments, f"--directions={file}"]) == 0
    printed = capsys.readouterr().out
    origins = [line.split()[0] for line in printed.splitlines() if line.endswith("the origin")]
    assert origins == ["3", "1"]
    assert out.stat().st_size > 10_000


def state_of(folder):
    programs, _ = trained_game.open_game(folder)
    return folder.restore(programs.abstract_state())[1]


def test_bad_input_is_one_line(folder, capsys, tmp_path):
    other = tmp_path / "other.npy"
    np.save(other, np.ones((2, 3)))
    (tmp_path / "text.npy").write_text("none")
    (tmp_path / "empty.npy").touch()
    n = len(landscape._flat(state_of(folder), "model"))
    bad = {"nan": np.full((2, n), np.nan), "rank": np.ones((2, n)), "words": np.array(["a", "b"])}
    for name, array in bad.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.savez(tmp_path / "many.npz", directions=np.eye(2))
    for arguments, text in (
        ([], "name the runs' folders first"),
        ([str(folder.path), "--player=modl"], "did you mean 'model'"),
        ([str(folder.path), f"--directions={other}"], "has shape (2, 3); model needs (2, "),
        ([str(folder.path), f"--directions={tmp_path / 'text.npy'}"], "holds no directions"),
        ([str(folder.path), "--directions=none.npy"], "holds no directions"),
        *(
            ([str(folder.path), f"--directions={tmp_path / name}"], "holds no directions")
            for name in ("empty.npy", "nan.npy", "rank.npy", "words.npy", "many.npz")
        ),
        ([str(folder.path), f"--save_directions={folder.config}/x.npy"], "--save_directions: cannot write"),
        ([str(folder.path), "--save_directions=x.txt"], "must end in .npy"),
        ([str(folder.path), "--points=1"], "--points"),
        ([str(folder.path), "--out=x.txt", "--points=3"], "must end in"),
    ):
        assert text in refusal(main, capsys, "landscape", *arguments)
