"""Penalties on D(x) = tanh(x a) . b, whose input gradient is a (b (1 - tanh^2)), in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib import losses
from lib.games.drift import Coefficients
from lib.games.game import Aux, Game
from lib.games.regularizers import regularizer_gradients
from lib.penalties import gradient_penalty, zero_centred_penalty


def tanh_disc(params, x):
    """Returns D(x), [b]."""
    return jnp.tanh(x @ params["a"]) @ params["b"]


def input_gradients(params, x):
    """Returns grad_x D(x), [b, 2], written out."""
    return ((1 - jnp.tanh(x @ params["a"]) ** 2) * params["b"][None]) @ params["a"].T


def penalty_by_hand(params, real, fake, key):
    """Returns the same penalty with the input gradient written out: no derivative of a derivative."""
    t = jax.random.uniform(key, (len(real), 1), real.dtype)
    return jnp.mean((jnp.linalg.norm(input_gradients(params, (1 - t) * real + t * fake), axis=1) - 1) ** 2)


def tanh_penalty(params, real, fake, key):
    """Returns the penalty of `tanh_disc` by the function that is tested."""
    return gradient_penalty(lambda x: tanh_disc(params, x), real, fake, key)


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


def test_zero_centred_penalty_and_its_derivatives_are_those_by_hand(penalised):
    params, real, _ = penalised

    def ours(params, x):
        return zero_centred_penalty(lambda x: tanh_disc(params, x), x)

    def by_hand(params, x):
        return jnp.mean(jnp.sum(input_gradients(params, x) ** 2, 1)) / 2

    @jax.jit
    def derivatives(params, x):
        return [
            (f(params, x), jax.grad(f, (0, 1))(params, x), jax.hessian(f)(params, x))
            for f in (ours, by_hand)
        ]

    a, b = derivatives(params, real)
    assert all(jnp.abs(x).max() > 1e-3 for x in jax.tree.leaves(b))
    assert_close(a, b, atol=1e-12)


def test_gradient_penalty_of_a_linear_discriminator_needs_no_interpolates():
    weights = np.arange(1.0, 7.0).reshape(3, 2, 1)
    images = np.random.default_rng(0).normal(size=(2, 5, 3, 2, 1)).astype(np.float32)

    @jax.jit
    def penalty(weights, real, fake):
        def disc(x):
            return jnp.einsum("bhwc,hwc->b", x, weights)

        return gradient_penalty(disc, real, fake, jax.random.key(0))

    value = penalty(jnp.asarray(weights, jnp.float32), *images)
    np.testing.assert_allclose(value, (np.linalg.norm(weights) - 1) ** 2, rtol=1e-6)


def half_square(x):
    """Returns x^2 / 2, [b] of [b, 1], whose gradient is x."""
    return x[:, 0] ** 2 / 2


def test_gradient_penalty_is_taken_between_the_two_images():
    # |grad D| = x; uniform between 2 and 5, E (x - 1)^2 = (4^3 - 1) / 9 = 7.
    real, fake = jnp.full((100_000, 1), 2.0), jnp.full((100_000, 1), 5.0)
    penalty = jax.jit(functools.partial(gradient_penalty, half_square))
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
