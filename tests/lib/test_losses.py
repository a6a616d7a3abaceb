"""Losses against their formulas in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib import losses

REAL = np.array([0.3, -2.0, 4.0, 0.0, 1.5])
FAKE = np.array([-0.7, 3.0, 0.1, -5.0, 2.5])


CROSS_ENTROPIES = [losses.disc_cross_entropy, losses.gen_saturating, losses.gen_non_saturating]


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
    losses.gen_zero_sum_least_squares: lambda r, f: -(f**2).mean(),
    losses.gen_zero_sum_sigmoid_least_squares: lambda r, f: -np.exp(2 * log_sigmoid(f)).mean(),
    losses.disc_hinge: lambda r, f: np.where(r < 1, 1 - r, 0).mean() + np.where(f > -1, 1 + f, 0).mean(),
    losses.disc_relativistic: lambda r, f: -log_sigmoid(r - f).mean(),
    losses.gen_relativistic: lambda r, f: -log_sigmoid(f - r).mean(),
    losses.disc_wasserstein: lambda r, f: f.mean() - r.mean(),
    losses.gen_wasserstein: lambda r, f: -f.mean(),
}


def test_every_loss_of_the_tables_has_its_formula_here():
    assert {*losses.DISC.values(), *losses.GEN.values()} == set(FORMULAS)


@jax.jit
def all_losses(real, fake):
    """Returns every loss of the tables, by its name."""
    return {loss.__name__: loss(real, fake) for loss in FORMULAS}


def test_losses_are_their_formulas():
    with jax.enable_x64(True):
        values = all_losses(jnp.asarray(REAL), jnp.asarray(FAKE))
    for loss, formula in FORMULAS.items():
        value = values[loss.__name__]
        assert value.shape == ()
        np.testing.assert_allclose(value, formula(REAL, FAKE), rtol=1e-13, err_msg=loss.__name__)


def test_cross_entropies_and_their_gradients_are_finite_at_extreme_logits():
    extreme = jnp.array([-1e4, 1e4, 0.0])

    @jax.jit
    def values_and_gradients(real, fake):
        return [jax.value_and_grad(loss, argnums=(0, 1))(real, fake) for loss in CROSS_ENTROPIES]

    for value, gradients in values_and_gradients(extreme, -extreme):
        assert abs(value) > 1e3
        assert np.isfinite(value)
        assert np.isfinite(gradients).all()


ZERO_SUM = {"saturating": "cross_entropy", "zero_sum_least_squares": "least_squares"}
ZERO_SUM |= {"zero_sum_sigmoid_least_squares": "sigmoid_least_squares", "wasserstein": "wasserstein"}


@pytest.mark.parametrize("name", ZERO_SUM)
def test_a_zero_sum_loss_is_minus_the_discriminator_s_by_samples(name):
    real, fake = jnp.asarray(REAL, jnp.float32), jnp.asarray(FAKE, jnp.float32)
    of_disc = jax.grad(losses.DISC[ZERO_SUM[name]], argnums=1)(real, fake)
    of_gen = jax.grad(losses.GEN[name], argnums=1)(real, fake)
    assert (of_disc != 0).all()
    np.testing.assert_array_equal(of_gen, -of_disc)


def test_the_non_saturating_loss_pushes_the_same_way_but_hardest_where_the_generator_loses():
    logits = jnp.array([-4.0, 4.0])
    saturating = jax.grad(losses.gen_saturating, argnums=1)(logits, logits)
    non_saturating = jax.grad(losses.gen_non_saturating, argnums=1)(logits, logits)
    assert (saturating < 0).all()
    assert (non_saturating < 0).all()
    assert abs(saturating[0]) < abs(saturating[1])
    assert abs(non_saturating[0]) > abs(non_saturating[1])


def test_generators_do_not_see_real_logits():
    @jax.jit
    def gradients(real, fake):
        return {name: jax.grad(loss)(real, fake) for name, loss in losses.GEN.items()}

    for name, gradient in gradients(jnp.asarray(REAL), jnp.asarray(FAKE)).items():
        if name == "relativistic":  # it compares the two
            assert np.abs(gradient).min() > 0
            continue
        np.testing.assert_array_equal(gradient, np.zeros(5), err_msg=name)


def test_classifier_cross_entropy_is_minus_the_log_probability_of_the_label():
    logits = np.random.default_rng(0).normal(size=(6, 4)) * 3
    labels = np.array([0, 3, 1, 1, 2, 0])
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    with jax.enable_x64(True):
        values = losses.classifier_cross_entropy(jnp.asarray(logits), jnp.asarray(labels))
    assert values.shape == (6,)
    np.testing.assert_allclose(values, -np.log(probabilities[np.arange(6), labels]), rtol=1e-13)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_classifier_cross_entropy_with_smooth_labels(smoothing):
    logits = np.random.default_rng(0).normal(size=(5, 3))
    labels = np.array([0, 2, 1, 1, 0])
    targets = (1 - smoothing) * np.eye(3)[labels] + smoothing / 3
    expected = -(targets * np.log(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))).sum(1)
    np.testing.assert_allclose(
        losses.classifier_cross_entropy(logits, labels, smoothing), expected, rtol=1e-12
    )


LOGITS = np.random.default_rng(1).normal(size=(7, 6)) * 2
LABELS = np.array([0, 5, 1, 1, 2, 4, 3])


def hinge_by_hand(logits, label, smooth=False):
    """Computes the hinge loss of one example, and its gradient."""
    margins = np.array([s - logits[label] + (k != label) for k, s in enumerate(logits)])
    weights = np.eye(len(logits))[margins.argmax()]
    if smooth:
        p = np.exp(logits) / np.exp(logits).sum()
        weights = p if p @ margins >= 0 else weights
    return weights @ margins, weights - weights.sum() * np.eye(len(logits))[label]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("smooth", [False, True])
def test_multiclass_hinge_and_its_gradient_are_those_by_hand(smooth):
    logits = np.concatenate([LOGITS, np.eye(6)[[0]] * 9])  # one that is right by far
    labels = np.append(LABELS, 0)
    by_hand = [hinge_by_hand(s, y, smooth) for s, y in zip(logits, labels, strict=True)]
    values, gradients = zip(*by_hand, strict=True)

    def hinge(logits):
        return losses.multiclass_hinge(logits, jnp.asarray(labels), smooth)

    np.testing.assert_allclose(hinge(jnp.asarray(logits)), values, rtol=1e-12, atol=1e-15)
    gradient = jax.grad(lambda s: hinge(s).sum())(jnp.asarray(logits))
    np.testing.assert_allclose(gradient, gradients, rtol=1e-12, atol=1e-15)
    assert min(values) >= 0 < max(values)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("k", "tau"), [(0, 1.0), (1, 1.0), (3, 0.5), (5, 1.0)])
def test_top_k_entropy_leaves_the_largest_out(k, tau):
    def by_hand(logits, label):
        left = [j for j in np.argsort(-logits)[k:] if j != label]
        return np.log(1 + sum(np.exp((logits[j] - logits[label]) / tau) for j in left))

    expected = [by_hand(s, y) for s, y in zip(LOGITS, LABELS, strict=True)]
    found = losses.top_k_entropy(jnp.asarray(LOGITS), jnp.asarray(LABELS), k, tau)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    if k == 0:
        entropy = losses.classifier_cross_entropy(jnp.asarray(LOGITS), jnp.asarray(LABELS))
        np.testing.assert_allclose(found, entropy, rtol=1e-12)

    def total(logits):
        return losses.top_k_entropy(logits, jnp.asarray(LABELS), k, tau).sum()

    assert np.isfinite(jax.grad(total)(jnp.asarray(LOGITS) * 400)).all()


@pytest.mark.usefixtures("float64")
def test_hidden_l2_is_0_with_the_derivatives_of_a_quadratic():
    rng = np.random.default_rng(0)
    params, direction = ({"w": rng.normal(size=(3, 2)), "b": rng.normal(size=2)} for _ in range(2))

    @jax.jit
    def derivatives(params, direction):
        hidden = functools.partial(losses.hidden_l2, l2=0.3)
        return hidden(params), jax.jvp(jax.grad(hidden), (params,), (direction,))

    value, (gradient, product) = derivatives(params, direction)
    assert value == 0
    for name in params:
        np.testing.assert_allclose(gradient[name], 0.3 * params[name], rtol=1e-13)
        np.testing.assert_allclose(product[name], 0.3 * direction[name], rtol=1e-13)
