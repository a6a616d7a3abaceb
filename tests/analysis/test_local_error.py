"""The picture of local errors shows the orders that the theory has, and refuses what it cannot draw."""

import jax
import pytest
from conftest import refusal

from analysis import local_error
from analysis.__main__ import main


@pytest.mark.parametrize("rule", list(local_error.DRIFTS))
def test_orders_of_the_curves(rule):
    with jax.enable_x64(True):
        errors = local_error.errors(rule, ratio=0.4)
    orders = [local_error.fitted_order(values) for values in errors.values()]
    assert orders == pytest.approx([2, 2, 3], abs=0.1)


def test_bad_input(capsys):
    for args, message in (
        (["--ratio=0"], "--ratio: 0 is no ratio of learning rates"),
        (["--ratios=2"], "Unknown command line flag 'ratios'"),
        (["--config.seed=1"], "plot local_error: '--config.seed=1'"),
    ):
        assert message in refusal(main, capsys, "local_error", *args)
