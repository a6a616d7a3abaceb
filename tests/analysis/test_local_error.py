"""The picture of local errors shows the orders that the theory has, and refuses what it cannot draw."""

import jax
import numpy as np
import pytest
from conftest import refusal
from small_runs import TINY_CLASSIFIER, save_points

from analysis import local_error
from analysis.__main__ import main
from analysis.local_error import TOY, errors, fitted_order, sizes


def orders(rule, point, rates) -> list[float]:
    """Returns the fitted orders of all curves."""
    return [fitted_order(rates, values) for values in errors(rule, point, 0.4, rates).values()]


@pytest.mark.parametrize("rule", list(local_error.DRIFTS))
def test_orders_of_the_curves(rule):
    with jax.enable_x64(True):
        assert orders(rule, TOY, sizes(0.1)) == pytest.approx([2, 2, 3, 4], abs=0.1)


@pytest.mark.parametrize(
    ("name", "expected"), [("classifier", [2, 3, 3, 4]), ("gan/ring8_sgd", [2, 2, 3, 4])]
)
def test_orders_of_the_curves_of_runs(tmp_path, name, expected):
    config = TINY_CLASSIFIER if name == "classifier" else (name,)
    folder = save_points(tmp_path / "run", *config, "num_steps=2", "checkpoint_every=1", steps=[1])
    point = local_error.trained(str(folder.path))
    with jax.enable_x64(True):  # of the two rules that with less to compile
        found = orders("simultaneous", point, np.geomspace(0.02, 0.004, 4))
    assert found == pytest.approx(expected, abs=0.15)


def test_picture_of_a_run(tmp_path, monkeypatch):
    folder = save_points(tmp_path / "run", *TINY_CLASSIFIER, "num_steps=2", "checkpoint_every=1", steps=[1])
    monkeypatch.setattr(local_error, "sizes", lambda largest: largest * np.geomspace(1, 0.2, 4))
    assert main(["local_error", str(folder.path), f"--out={tmp_path / 'x.png'}"]) == 0
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_a_convolutional_network_is_evaluated_in_double_precision(tmp_path):
    kwargs = "classifier.model.kwargs={'channels': (2,), 'hidden': 3, 'dropout': 0.0}"
    folder = save_points(tmp_path / "run", "classifier/digits", kwargs, "batch_size=8", steps=[1])
    point = local_error.trained(str(folder.path), 4)
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: jax.numpy.asarray(leaf, float), point.params)
        losses, _ = point.game.losses(params, {}, None, None)
    assert losses["model"].dtype == np.float64
    assert np.isfinite(losses["model"])


def test_bad_input(capsys):
    for args, message in (
        (["--ratio=0"], "--ratio: 0 is not above 0"),
        (["--rate=-1"], "--rate: -1 is not above 0"),
        (["a", "b"], "name one run, not 2"),
        (["nowhere"], "nowhere"),
        (["--examples=4"], "--examples: is that of a run's batch"),
        (["--ratios=2"], "Unknown command line flag 'ratios'"),
        (["--config.seed=1"], "plot local_error: '--config.seed=1'"),
    ):
        assert message in refusal(main, capsys, "local_error", *args)
