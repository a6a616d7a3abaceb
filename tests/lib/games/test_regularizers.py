"""Estimators of the regularisers on two devices: which factors are averaged before they are multiplied."""

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from toys import KEY, tanh_gan

from lib.games.drift import Coefficients
from lib.games.regularizers import TERMS, regularizer_gradients
from lib.runtime.devices import AXIS, pmean

pytestmark = pytest.mark.usefixtures("float64")

ESTIMATORS = ("biased", "biased_averaged", "unbiased", "unbiased_averaged")
COEFFICIENTS, ACTIVE = {"gen": Coefficients(-0.2, 0.9, 0.5)}, {"gen": TERMS}


def test_only_the_averaged_estimators_are_on_two_devices_what_they_are_on_one():
    game, params, batch = tanh_gan()

    def terms(params, batch):
        def vector(estimator):
            added = regularizer_gradients(game, COEFFICIENTS, ACTIVE, params, {}, batch, KEY, estimator)
            return ravel_pytree(pmean(added))[0]

        return {estimator: vector(estimator) for estimator in ESTIMATORS}

    one = jax.jit(terms)(params, batch)
    # Each device has its share of both halves.
    shares = batch.reshape(2, 2, 2, -1).swapaxes(0, 1).reshape(2, 4, -1)
    both_devices = jax.local_devices()[:2]
    two = jax.pmap(terms, AXIS, in_axes=(None, 0), out_axes=None, devices=both_devices)(params, shares)
    assert np.abs(one["biased"] - one["unbiased"]).max() > 1e-4
    for estimator in ESTIMATORS:
        difference = np.abs(one[estimator] - two[estimator]).max()
        assert difference < 1e-12 if estimator.endswith("averaged") else difference > 1e-4
