"""Losses that Polyak's rates are measured from a bound of, and that may be below it."""

import numpy as np
import pytest
from tanh_net import THETA, flat, loss, trained

from lib import optimizers
from lib.errors import ConfigError

CAP = 0.5
POLYAK = ("alig", "polyak_sgd", "sps_max")


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


def test_what_a_loss_cannot_fall_below_is_compared_with_its_bound():
    for kind in map(optimizers.kind_of, POLYAK):
        for kwargs, least in (({}, -np.inf), ({"lower_bound": 0.0}, -1.0)):
            with pytest.raises(ConfigError, match=r"^kwargs.lower_bound: the loss may be negative"):
                kind.check_bound(kwargs, least)
        kind.check_bound({"lower_bound": -5.0}, -np.inf)
        kind.check_bound({}, 0.0)
    optimizers.kind_of("adam").check_bound({}, -np.inf)
