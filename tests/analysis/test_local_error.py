"""The picture of local errors shows the orders that the theory has, and refuses what it cannot draw."""

import jax
import numpy as np
import pytest
from conftest import refusal

from analysis import local_error
from analysis.plot import main


@pytest.mark.parametrize("rule", list(local_error.DRIFTS))
def test_orders_of_the_curves(rule):
    with jax.enable_x64(True):
        errors = local_error.errors(rule, ratio=0.4)
    order = {n: np.polyfit(np.log(local_error.SIZES[-4:]), np.log(v[-4:]), 1)[0] for n, v in errors.items()}
    assert list(order.values()) == pytest.approx([2, 2, 3], abs=0.1)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--ratio=0"], "--ratio: 0 is no ratio of learning rates"),
        (["--ratios=2"], "Unknown command line flag 'ratios'"),
        (["--config.seed=1"], "plot local_error: '--config.seed=1'"),
    ],
)
def test_bad_input(capsys, args, message):
    assert message in refusal(main, capsys, "local_error", *args)
