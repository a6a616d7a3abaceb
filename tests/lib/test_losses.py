"""Losses against their formulas in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib import losses

REAL = np.array([0.3, -2.0, 4.0, 0.0, 1.5])
FAKE = np.array([-0.7, 3.0, 0.1, -5.0, 2.5])


def log_sigmoid(x):
    return np.log(1 / (1 + np.exp(-x)))


def log_one_minus_sigmoid(x):
    return np.log(1 / (1 + np.exp(x)))


FORMULAS = {
    losses.disc_cross_entropy: lambda r, f: -log_sigmoid(r).mean() - log_one_minus_sigmoid(f).mean(),
    losses.gen_saturating: lambda r, f: log_one_minus_sigmoid(f).mean(),
    losses.gen_non_saturating: lambda r, f: -log_sigmoid(f).mean(),
    losses.disc_least_squares: lambda r, f: ((r - 1) ** 2).mean() + (f**2).mean(),
    losses.gen_least_squares: lambda r, f: ((f - 1) ** 2).mean(),
    losses.disc_sigmoid_least_squares: lambda r, f: (
        np.exp(2 * log_one_minus_sigmoid(r)).mean() + np.exp(2 * log_sigmoid(f)).mean()
    ),
    losses.gen_sigmoid_least_squares: lambda r, f: np.exp(2 * log_one_minus_sigmoid(f)).mean(),
    losses.disc_wasserstein: lambda r, f: f.mean() - r.mean(),
    losses.gen_wasserstein: lambda r, f: -f.mean(),
}


def test_every_loss_of_the_tables_has_its_formula_here():
    assert {*losses.DISC.values(), *losses.GEN.values()} == set(FORMULAS)


@pytest.mark.parametrize("loss", FORMULAS, ids=lambda loss: loss.__name__)
def test_loss_is_its_formula(loss):
    with jax.enable_x64(True):
        value = loss(jnp.asarray(REAL), jnp.asarray(FAKE))
    assert value.shape == ()
    np.testing.assert_allclose(value, FORMULAS[loss](REAL, FAKE), rtol=1e-13)


CROSS_ENTROPIES = [losses.disc_cross_entropy, losses.gen_saturating, losses.gen_non_saturating]


@pytest.mark.parametrize("loss", CROSS_ENTROPIES, ids=lambda loss: loss.__name__)
def test_loss_and_gradient_are_finite_at_extreme_logits(loss):
    extreme = jnp.array([-1e4, 1e4, 0.0])
    value, gradients = jax.value_and_grad(loss, argnums=(0, 1))(extreme, -extreme)
    assert abs(value) > 1e3
    assert np.isfinite(value)
    assert np.isfinite(gradients).all()


def test_the_saturating_loss_is_zero_sum():
    real, fake = jnp.asarray(REAL, jnp.float32), jnp.asarray(FAKE, jnp.float32)
    of_disc = jax.grad(losses.disc_cross_entropy, argnums=1)(real, fake)
    of_gen = jax.grad(losses.gen_saturating, argnums=1)(real, fake)
    assert (of_disc > 0).all()
    np.testing.assert_array_equal(of_gen, -of_disc)


def test_the_non_saturating_loss_pushes_the_same_way_but_hardest_where_the_generator_loses():
    logits = jnp.array([-4.0, 4.0])
    saturating = jax.grad(losses.gen_saturating, argnums=1)(logits, logits)
    non_saturating = jax.grad(losses.gen_non_saturating, argnums=1)(logits, logits)
    assert (saturating < 0).all()
    assert (non_saturating < 0).all()
    assert abs(saturating[0]) < abs(saturating[1])
    assert abs(non_saturating[0]) > abs(non_saturating[1])


@pytest.mark.parametrize("name", losses.GEN)
def test_generators_do_not_see_real_logits(name):
    gradient = jax.grad(losses.GEN[name])(jnp.asarray(REAL), jnp.asarray(FAKE))
    np.testing.assert_array_equal(gradient, np.zeros(5))


def test_classifier_cross_entropy_is_minus_the_log_probability_of_the_label():
    logits = np.random.default_rng(0).normal(size=(6, 4)) * 3
    labels = np.array([0, 3, 1, 1, 2, 0])
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    with jax.enable_x64(True):
        values = losses.classifier_cross_entropy(jnp.asarray(logits), jnp.asarray(labels))
    assert values.shape == (6,)
    np.testing.assert_allclose(values, -np.log(probabilities[np.arange(6), labels]), rtol=1e-13)
