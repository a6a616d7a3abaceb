"""Small games with closed forms, and one step of an update rule as a function of a vector."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from lib import optimizers
from lib.games import updates
from lib.games.drift import Coefficients
from lib.games.eigenvalues import eigenvalues, spectral_radius
from lib.games.game import Aux, Game, gradients
from lib.games.operators import update_jacobian
from lib.games.updates import Options, Regularizers, Weights

PLAYERS = ("disc", "gen")
KEY = jax.random.key(0)
NO_DATA = jnp.zeros((12, 0))  # divides by all numbers of stages and updates here
START = np.array([0.4, -0.7])
ROWS = jnp.zeros((60, 0))  # and by those of the inner steps of a lookahead


def toy_game(disc, gen) -> Game:
    """Makes a game without data of the losses `(x, y) -> scalar`."""

    def losses(params, state, batch, key):
        x, y = params["disc"], params["gen"]
        return {"disc": disc(x, y), "gen": gen(x, y)}, Aux(state, {})

    return Game(PLAYERS, losses)


BILINEAR = toy_game(lambda x, y: x * y, lambda x, y: -x * y)
# Smooth, not zero-sum, and with every second derivative different from zero.
NONLINEAR = toy_game(
    lambda x, y: jnp.sin(x) * jnp.exp(0.3 * y) + 0.4 * x**2,
    lambda x, y: -jnp.cos(x) * jnp.sin(1.3 * y) + 0.3 * y**2 * x + 0.2 * y**3,
)
# Mescheder et al. 2018: phi, theta scalars, zero-sum, equilibrium (0, 0).
DIRAC = toy_game(lambda x, y: jax.nn.log_sigmoid(x * y), lambda x, y: -jax.nn.log_sigmoid(x * y))


@functools.cache
def tanh_gan() -> tuple[Game, dict, jax.Array]:
    """Makes a GAN of two tiny tanh nets on data that is in the batch, latents included: no randomness."""
    keys = jax.random.split(KEY, 5)
    params = {
        "disc": {"a": jax.random.normal(keys[0], (2, 3)), "b": jax.random.normal(keys[1], (3,))},
        "gen": {"a": jax.random.normal(keys[2], (2, 2)), "c": jax.random.normal(keys[3], (2, 2))},
    }

    def disc(p, x):
        return jnp.tanh(x @ p["a"]) @ p["b"]

    def gen(p, z):
        return jnp.tanh(z @ p["a"]) @ p["c"]

    def losses(p, state, batch, key):
        real, fake = disc(p["disc"], batch[:, :2]), disc(p["disc"], gen(p["gen"], batch[:, 2:]))
        first = jax.nn.softplus(-real).mean() + jax.nn.softplus(fake).mean()
        return {"disc": first, "gen": jax.nn.softplus(-fake).mean()}, Aux(state, {})

    return Game(PLAYERS, losses), params, jax.random.normal(keys[4], (8, 4))


@functools.cache
def dense_tanh_gan() -> tuple[np.ndarray, np.ndarray]:
    """Returns (xi, J), the joint gradient of `tanh_gan` at all parameters and its Jacobian, dense."""
    game, params, batch = tanh_gan()
    flat, unravel = ravel_pytree(params)

    def xi(v):
        return ravel_pytree(gradients(game, unravel(v), {}, batch, KEY)[0])[0]

    return jax.tree.map(np.asarray, jax.jit(lambda v: (xi(v), jax.jacfwd(xi)(v)))(flat))


def both(self_norm=0.0, other_norm=0.0, other_dot_prod=0.0) -> dict[str, Coefficients]:
    """Returns the same coefficients for both players."""
    return {x: Coefficients(self_norm, other_norm, other_dot_prod) for x in PLAYERS}


def make_rule(
    game,
    name,
    rates,
    *,
    momentum=None,
    options=None,
    estimator="biased_averaged",
    clock="per_player",
    align=True,
    **weights,
) -> updates.BoundRule:
    """Makes a rule with SGD of rates (disc, gen) and the weights that are named; the others are zero."""
    kwargs = {} if momentum is None else {"momentum": momentum}
    optimizer = {x: optimizers.make("sgd", h, kwargs) for x, h in zip(PLAYERS, rates, strict=True)}
    weights = Weights.none(PLAYERS)._replace(**weights)
    return updates.make(name, game, optimizer, Regularizers(weights, estimator, clock, align), options)


def turns(disc=1, gen=1, first="disc") -> Options:
    """Returns options of alternating updates."""
    return Options(PLAYERS if first == "disc" else PLAYERS[::-1], {"disc": disc, "gen": gen})


def initial(rule, point):
    """Returns the rule's first state at a vector (x, y)."""
    return rule.init({x: jnp.asarray(v, float) for x, v in zip(PLAYERS, point, strict=True)}, {})


def with_rates(state, rates, **others):
    """Returns the state with learning rates (disc, gen) and other hyper-parameters, which may be traced."""
    opt_state = {}
    for x, h in zip(PLAYERS, rates, strict=True):
        new = {"learning_rate": h, **others}
        new = {name: jnp.asarray(value, float) for name, value in new.items()}
        hyperparams = state.opt_state[x].hyperparams | new
        opt_state[x] = state.opt_state[x]._replace(hyperparams=hyperparams)
    return state._replace(opt_state=opt_state)


def take(rule):
    """Returns the compiled `(point, rates) -> point` of one step of two scalars, as arrays [2]."""

    @jax.jit
    def step(point, rates):
        state, _ = rule.step(with_rates(initial(rule, point), rates), NO_DATA, KEY)
        return jnp.stack([state.params[x] for x in PLAYERS])

    return step


def walked(rule, start=START, steps=6) -> np.ndarray:
    """Returns the points [steps + 1, 2] of a rule's steps."""
    step, state, points = jax.jit(rule.step), initial(rule, start), [start]
    for _ in range(steps):
        state, _ = step(state, ROWS, KEY)
        points.append(np.array([state.params[x] for x in PLAYERS]))
    return np.array(points)


def squared_radius(rule) -> float:
    """Returns it of a whole step, optimiser's and rule's memory included, at the equilibrium (0, 0)."""
    state = initial(rule, (0.0, 0.0))
    return spectral_radius(eigenvalues(update_jacobian(rule, state, ROWS, KEY))) ** 2
