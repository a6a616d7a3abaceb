"""Losses against their formulas in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib import losses
from lib.games.drift import Coefficients
from lib.games.game import Aux, Game
from lib.games.regularizers import regularizer_gradients

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
        np.testing.assert_array_equal(gradient, np.zeros(5), err_msg=name)


def test_classifier_cross_entropy_is_minus_the_log_probability_of_the_label():
    logits = np.random.default_rng(0).normal(size=(6, 4)) * 3
    labels = np.array([0, 3, 1, 1, 2, 0])
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    with jax.enable_x64(True):
        values = losses.classifier_cross_entropy(jnp.asarray(logits), jnp.asarray(labels))
    assert values.shape == (6,)
    np.testing.assert_allclose(values, -np.log(probabilities[np.arange(6), labels]), rtol=1e-13)


# The gradient penalty, on D(x) = tanh(x a) . b, whose input gradient is a (b (1 - tanh^2)).


def tanh_disc(params, x):
    """Returns D(x), [b]."""
    return jnp.tanh(x @ params["a"]) @ params["b"]


def penalty_by_hand(params, real, fake, key):
    """Returns the same penalty with the input gradient written out: no derivative of a derivative."""
    t = jax.random.uniform(key, (len(real), 1), real.dtype)
    x = (1 - t) * real + t * fake
    gradients = ((1 - jnp.tanh(x @ params["a"]) ** 2) * params["b"][None]) @ params["a"].T
    return jnp.mean((jnp.linalg.norm(gradients, axis=1) - 1) ** 2)


def tanh_penalty(params, real, fake, key):
    """Returns the penalty of `tanh_disc` by the function that is tested."""
    return losses.gradient_penalty(lambda x: tanh_disc(params, x), real, fake, key)


@pytest.fixture
def penalised(float64):
    """Returns (params of the discriminator, real, fake)."""
    del float64
    a, b, real, fake = (
        jnp.asarray(np.random.default_rng(i).normal(size=s))
        for i, s in enumerate([(2, 3), (3,), (4, 2), (4, 2)])
    )
    return {"a": a, "b": b}, real, fake


def test_gradient_penalty_and_its_derivatives_are_those_by_hand(penalised):
    params, real, fake = penalised
    key = jax.random.key(3)

    @jax.jit
    def derivatives(params, real, fake):
        """Returns the value, the gradient by everything and the Hessian by the parameters, of both."""
        args = params, real, fake, key
        return [
            (f(*args), jax.grad(f, (0, 1, 2))(*args), jax.hessian(f)(*args))
            for f in (tanh_penalty, penalty_by_hand)
        ]

    ours, by_hand = derivatives(params, real, fake)
    for a, b in zip(ours, by_hand, strict=True):
        assert max(jnp.abs(x).max() for x in jax.tree.leaves(b)) > 1e-2
        assert_close(a, b, atol=1e-12)


def assert_close(ours, expected, atol: float):
    """Checks two pytrees leaf by leaf, to ten digits."""
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=atol)


def test_gradient_penalty_of_a_linear_discriminator_needs_no_interpolates():
    weights = np.arange(1.0, 7.0).reshape(3, 2, 1)
    images = np.random.default_rng(0).normal(size=(2, 5, 3, 2, 1)).astype(np.float32)

    @jax.jit
    def penalty(weights, real, fake):
        def disc(x):
            return jnp.einsum("bhwc,hwc->b", x, weights)

        return losses.gradient_penalty(disc, real, fake, jax.random.key(0))

    value = penalty(jnp.asarray(weights, jnp.float32), *images)
    np.testing.assert_allclose(value, (np.linalg.norm(weights) - 1) ** 2, rtol=1e-6)


def half_square(x):
    """Returns x^2 / 2, [b] of [b, 1], whose gradient is x."""
    return x[:, 0] ** 2 / 2


def test_gradient_penalty_is_taken_between_the_two_images():
    # |grad D| = x; uniform between 2 and 5, E (x - 1)^2 = (4^3 - 1) / 9 = 7.
    real, fake = jnp.full((100_000, 1), 2.0), jnp.full((100_000, 1), 5.0)
    penalty = jax.jit(functools.partial(losses.gradient_penalty, half_square))
    np.testing.assert_allclose(penalty(real, fake, jax.random.key(0)), 7, rtol=0.01)


def test_gradient_penalty_is_finite_where_the_gradient_is_zero(penalised):
    params, real, fake = penalised
    params = {"a": params["a"], "b": jnp.zeros(3)}

    @jax.jit
    def derivatives(params):
        def loss(p):
            return tanh_penalty(p, real, fake, jax.random.key(0))

        ones = jax.tree.map(jnp.ones_like, params)
        return loss(params), jax.jvp(jax.grad(loss), (params,), (ones,))

    value, products = derivatives(params)
    assert value == 1
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(products))


# {term: (whose parameters move, whose loss is differentiated, against whose gradient), self 0 and other 1}
TERMS = {"self_norm": (0, 0, 0), "other_norm": (1, 1, 1), "other_dot_prod": (1, 0, 1)}


def penalised_game(penalty, latents) -> Game:
    """Returns a Wasserstein game of `tanh_disc` and of the generator tanh(z c), with a gradient penalty."""

    def both(p, state, batch, key):
        fake = jnp.tanh(latents[: len(batch)] @ p["gen"]["c"])
        on_real, on_fake = tanh_disc(p["disc"], batch), tanh_disc(p["disc"], fake)
        value = losses.disc_wasserstein(on_real, on_fake) + 10 * penalty(p["disc"], batch, fake, key)
        return {"disc": value, "gen": losses.gen_wasserstein(on_real, on_fake)}, Aux(state, {})

    return Game(("disc", "gen"), both)


def test_regularisers_see_the_third_derivatives_of_the_gradient_penalty(penalised):
    """Compares the two forms of the penalty; the expected gradients are by reverse mode alone."""
    disc, real, latents = penalised
    params = {"disc": disc, "gen": {"c": jnp.asarray(np.random.default_rng(9).normal(size=(2, 2)))}}
    key = jax.random.key(5)
    game, by_hand = (penalised_game(penalty, latents) for penalty in (tanh_penalty, penalty_by_hand))

    def gradient(p, x, of):
        """Differentiates the loss of player `of` by the parameters of player x."""
        return jax.grad(lambda q: by_hand.losses({**p, x: q}, {}, real, key)[0][of])(p[x])

    def regulariser(q, x, y, term, params):
        """Returns 0.3 times the inner product that the term is, at parameters q of player x."""
        p = {**params, x: q}
        moving, of, against = ((x, y)[i] for i in TERMS[term])
        a, b = gradient(p, moving, of), jax.lax.stop_gradient(gradient(p, moving, against))
        return 0.3 * sum(jnp.vdot(*pair) for pair in zip(*map(jax.tree.leaves, (a, b)), strict=True))

    @jax.jit
    def drift_and_expected(params):
        coefficients = {x: Coefficients(0.3, 0.3, 0.3) for x in params}
        results = {}
        for term in TERMS:
            active = {x: (term,) for x in params}
            ours = regularizer_gradients(game, coefficients, active, params, {}, real, key, "biased")
            for x, y in (("disc", "gen"), ("gen", "disc")):
                results[term, x] = ours[x], jax.grad(regulariser)(params[x], x, y, term, params)
        return list(results.values())

    for ours, expected in drift_and_expected(params):
        assert max(jnp.abs(g).max() for g in jax.tree.leaves(expected)) > 1e-3
        assert_close(ours, expected, atol=1e-11)


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
