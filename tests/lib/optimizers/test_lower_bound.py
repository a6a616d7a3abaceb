"""Losses that Polyak's rates are measured from a bound of, and that may be below it."""

import numpy as np
import pytest
from tanh_net import THETA, flat, loss, trained

from lib import optimizers
from lib.errors import ConfigError
from lib.optimizers.registry import OWN

CAP = 0.5
POLYAK = ("alig", "polyak_sgd", "sps_max")
BOUNDED = (*POLYAK, "bpgrad", "dfw", "l4_mom", "l4_adam", "momo", "momo_adam")


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", POLYAK)
def test_the_loss_is_measured_from_its_bound_and_never_stepped_uphill(name):
    """Shifts a loss by -7: with the bound shifted too nothing changes; without it the rate is NaN."""

    def shifted(theta):
        return loss(theta) - 7.0

    bounded = optimizers.make(name, CAP, {"lower_bound": -7.0})
    theta, rates = trained(bounded, THETA, 5, shifted)
    expected, same = trained(optimizers.make(name, CAP, {}), THETA, 5, loss)
    np.testing.assert_allclose(flat(theta), flat(expected), rtol=0, atol=1e-10)
    np.testing.assert_allclose(rates, same, rtol=1e-10)
    theta, rates = trained(optimizers.make(name, CAP, {}), THETA, 1, shifted)
    assert np.isnan(rates).all()
    assert np.isnan(flat(theta)).all()


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize(
    ("kwargs", "least", "fits"),
    [
        ({}, 0.0, True),
        ({"lower_bound": 0.5}, 0.0, True),
        ({}, -1.0, False),
        ({"lower_bound": -0.5}, -1.0, False),
        ({"lower_bound": -1.0}, -1.0, True),
        ({}, -np.inf, False),
        ({"lower_bound": 0.5}, -np.inf, False),
        ({"lower_bound": -5.0}, -np.inf, True),
    ],
)
def test_what_a_loss_cannot_fall_below_is_compared_with_its_bound(name, kwargs, least, fits):
    kind = optimizers.kind_of(name)
    if fits:
        kind.check_bound(kwargs, least)
        return
    with pytest.raises(ConfigError, match=r"^kwargs.lower_bound: the loss may be negative"):
        kind.check_bound(kwargs, least)


def test_others_have_no_bound():
    optimizers.kind_of("adam").check_bound({}, -np.inf)


@pytest.mark.parametrize("name", [n for n in BOUNDED if n in OWN])
@pytest.mark.parametrize("bound", [np.inf, -np.inf, np.nan])
def test_bounds_that_are_no_numbers_are_refused(name, bound):
    with pytest.raises(ConfigError) as error:
        optimizers.make(name, 0.1, {"lower_bound": float(bound)})
    assert error.value.field == "kwargs.lower_bound"
