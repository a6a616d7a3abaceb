"""Stacked hypergradients: the recursion in NumPy, the chain rule by autodiff, and one level alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tanh_net import THETA, flat, loss, trained_all, value_and_gradient

from lib import optimizers
from lib.errors import ConfigError

STEPS, ALPHA = 30, 0.05
STACKS = {"one": (1e-3,), "two": (1e-3, 1e-5), "three": (1e-3, 1e-5, 1e-10)}


@pytest.fixture(scope="module")
def runs():
    """Returns {optimiser: (parameters, rates)} in double precision."""
    with jax.enable_x64(True):
        made = {name: optimizers.make("sgd_ultimate", ALPHA, {"betas": b}) for name, b in STACKS.items()}
        made |= {
            "sgd_hd": optimizers.make("sgd_hd", ALPHA, {"beta": 1e-3}),
            "adam": optimizers.make("adam_ultimate", 1e-2, {"betas": (1e-5,)}),
            "adam_hd": optimizers.make("adam_hd", 1e-2, {"beta": 1e-5}),
            "from 0": optimizers.make("sgd_ultimate", 0.0, {"betas": (1e-2, 1e-3)}),
        }
        return jax.device_get(trained_all({name: (x, THETA) for name, x in made.items()}, STEPS))


def stack(betas):
    """Follows the recursion; returns (parameters, learning rates)."""
    theta, levels, u = flat(THETA), [ALPHA, *betas], np.zeros(17)
    before, rates = [0.0] * len(betas), []
    for _ in range(STEPS):
        _, g = value_and_gradient(theta)
        slopes = [g @ u]
        for k in range(1, len(betas)):
            slopes.append(slopes[k - 1] * before[k - 1])
        for k in reversed(range(len(betas))):
            levels[k] = levels[k] + levels[k + 1] * slopes[k]
        before, u = slopes, g
        theta = theta - levels[0] * u
        rates.append(levels[0])
    return theta, rates


@pytest.mark.parametrize("name", STACKS)
def test_steps_are_those_of_the_recursion(runs, name):
    expected, rates = stack(STACKS[name])
    theta, used = runs[name]
    np.testing.assert_allclose(used, rates, rtol=1e-10)
    np.testing.assert_allclose(flat(theta), expected, rtol=0, atol=1e-10)
    assert np.ptp(rates) > 1e-3


@pytest.mark.parametrize(("ours", "known"), [("one", "sgd_hd"), ("adam", "adam_hd")])
def test_one_level_is_hypergradient_descent(runs, ours, known):
    np.testing.assert_allclose(flat(runs[ours][0]), flat(runs[known][0]), rtol=0, atol=1e-12)
    np.testing.assert_allclose(runs[ours][1], runs[known][1], rtol=1e-12)


def test_levels_differ_and_a_rate_rises_from_nothing(runs):
    assert np.abs(np.subtract(runs["one"][1], runs["two"][1])).max() > 1e-4
    assert runs["from 0"][1][:1] == [0] and runs["from 0"][1][-1] > 1e-3


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("level", [0, 1, 2])
def test_slopes_are_minus_the_derivatives_of_the_loss(level):
    """Unrolls four steps and differentiates the loss after them in one level's rate before the last.

    Gradients and slopes of the earlier steps are constants, as the method takes them.
    """
    theta, betas = jax.tree.map(jnp.asarray, THETA), [0.3, 0.2, 0.1]
    grads, u, slopes = [], None, []
    levels = [ALPHA, *betas]
    for _ in range(4):
        g = jax.grad(loss)(theta)
        now = [0.0 if u is None else flat(g) @ flat(u)]
        for k in (1, 2):
            now.append(now[k - 1] * (slopes[-1][k - 1] if slopes else 0.0))
        for k in (2, 1, 0):
            levels[k] = levels[k] + levels[k + 1] * now[k]
        before, last_levels = theta, list(levels)
        theta = jax.tree.map(lambda x, d, a=levels[0]: x - a * d, theta, g)
        grads, u, slopes = [*grads, g], g, [*slopes, now]
    g = jax.grad(loss)(theta)
    slope = flat(g) @ flat(u)
    expected = [slope, slope * slopes[-1][0], slope * slopes[-1][0] * slopes[-1][1]][level]

    def after(moved):
        """Returns the loss after the last step, had one level's rate been larger by `moved` in it."""
        rates = list(last_levels)
        rates[level] = rates[level] + moved
        for k in reversed(range(level)):
            rates[k] = rates[k] + (rates[k + 1] - last_levels[k + 1]) * slopes[-1][k]
        return loss(jax.tree.map(lambda x, d: x - rates[0] * d, before, grads[-1]))

    assert abs(expected) > 1e-12
    assert float(jax.grad(after)(0.0)) == pytest.approx(-float(expected), rel=1e-8)


@pytest.mark.parametrize(
    ("kwargs", "field"),
    [({"betas": b}, "kwargs.betas") for b in ((), (1e-3, -1.0), "1e-3", 1e-3, ("x",))],
)
def test_rates_that_do_not_fit_are_refused(kwargs, field):
    with pytest.raises(ConfigError) as error:
        optimizers.make("sgd_ultimate", 0.1, kwargs)
    assert error.value.field == field
