"""The picture of the central flow: its averages, a small network at the edge, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import refusal

from analysis import central_flow
from analysis.__main__ import main
from analysis.central_flow import LOSSES, averaged, distances, follow, network, relative_errors
from lib.games.flows import curvature


@pytest.fixture(scope="module")
def paths():
    """Follows a small network whose largest eigenvalue begins above 2/h, so that it oscillates at once."""
    with jax.enable_x64(True):
        loss, start = network("mse", (8, 8), 60, 0)
        h = float(2.2 / curvature.largest(loss, start, 1).values[0])
        return h, follow(loss, start, h, 120, 3)


def test_the_central_flow_follows_gradient_descent_and_the_gradient_flow_does_not(paths):
    h, (descent, central, predicted, flow, critical) = paths
    assert critical.max() == 2
    assert central.eigenvalues[1:].max() < 1.001 * 2 / h < 1.1 * flow.eigenvalues.max()
    apart = {
        name: distances(record, descent, 31)[-1] for name, record in (("central", central), ("flow", flow))
    }
    assert apart["flow"] > 2 * apart["central"] > 0
    error = {
        name: relative_errors("losses", record, descent, 31)[-40:].mean()
        for name, record in (("predicted", predicted), ("central", central), ("flow", flow))
    }
    assert error["predicted"] < min(error["central"], error["flow"]) / 2


def test_averages_are_numpy_s():
    values = np.random.default_rng(0).standard_normal((9, 2))
    expected = [np.convolve(column, np.ones(4) / 4, "valid") for column in values.T]
    np.testing.assert_allclose(averaged(values, 4).T, expected)
    np.testing.assert_allclose(averaged(values, 1), values)


@pytest.mark.parametrize(("name", "expected"), [("mse", (0.25 + 4) / 2), ("cross_entropy", None)])
def test_losses(name, expected):
    outputs = jnp.zeros((1, 10)).at[0, 3].set(0.5).at[0, 5].set(2.0)
    if expected is None:
        expected = np.log(np.exp(outputs).sum()) - 0.5
    assert LOSSES[name](outputs, jnp.array([3]))[0] == pytest.approx(expected, rel=1e-5)


def test_table_and_picture(paths, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(central_flow, "follow", lambda *_: paths[1])
    out = tmp_path / "x.png"
    arguments = ["--steps=120", "--window=31", "--k=2", "--hidden=6", "--examples=40", f"--out={out}"]
    assert main(["central_flow", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["averages", "over", "31", "steps"]
    assert len(lines) == 11 + 1  # the last two: a warning that --k is small, and the file
    assert "all 2 eigenvalues that were followed became critical" in lines[-2]
    assert out.stat().st_size > 10_000


def test_bad_input(capsys):
    small = ("--hidden=2", "--examples=10", "--steps=20", "--window=5")
    for args, message in (
        (["--loss=hinge"], "--loss"),
        (["--rate=0"], "--rate: 0 is no step size"),
        (["--hidden=3,x"], "--hidden: '3,x' is no list of widths"),
        (["--window=21", *small[:3]], "--window: 21 is more than 20 steps"),
        (["--k=1000", *small], "--k: 1000 eigenvalues of 160 parameters"),
        (["--rate=1000", *small], "--rate: gradient descent diverges"),
        (["--config.seed=1"], "plot central_flow: '--config.seed=1'"),
    ):
        assert message in refusal(main, capsys, "central_flow", *args)
