"""The linear maps of a game: its Jacobian, a player's Hessian, and the Jacobian of an update.

With theta all players' parameters, v(theta) their joint gradient, regularisers included, and F the update
rule,

    flow     theta' = -v(theta)     attracts near an equilibrium where every mu of dv/dtheta has Re mu > 0
    update   x_{t+1} = F(x_t)       attracts near a fixed point where every eigenvalue of dF/dx has
                                    modulus < 1

F's state x is augmented: besides theta it holds what else moves, the optimisers' momenta, moments and step
sizes and the rule's memory. Simultaneous gradient descent with one rate h has the eigenvalues 1 - h mu.

All of these are linear maps of flat vectors, by Jacobian-vector products, forward over reverse: no matrix
is formed. lib/games/eigenvalues.py computes their spectra. For instance, of the bilinear game, a rotation:

    >>> import jax
    >>> from lib import optimizers
    >>> from lib.games import toys, updates
    >>> from lib.games.eigenvalues import eigenvalues, spectral_radius
    >>> from lib.games.operators import game_jacobian, update_jacobian
    >>> toy = toys.bilinear()
    >>> sgd = {player: optimizers.make("sgd", 0.3, {}) for player in toys.PAIR}
    >>> rule = updates.make("simultaneous", toy.game, sgd, updates.Regularizers.none(toys.PAIR))
    >>> state, key = rule.init(toy.params([0.0, 0.0]), {}), jax.random.key(0)
    >>> print(sorted(eigenvalues(game_jacobian(rule, state, None, key)).imag.round(6).tolist()))
    [-1.0, 1.0]
    >>> print(f"{spectral_radius(eigenvalues(update_jacobian(rule, state, None, key))) ** 2:.4f}")
    1.0900

Jacobians of games: Mescheder, Nowozin, Geiger, 'The Numerics of GANs', NeurIPS 2017; of updates with
momentum: Gidel et al., 'Negative Momentum for Improved Game Dynamics', AISTATS 2019.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from lib.games.updates import BoundRule, GameState
from lib.runtime.devices import device_key


class Operator(NamedTuple):
    """A linear map A of flat vectors.

    Attributes:
      size: n.
      apply: v [n] -> A v [n], compiled.
      symmetric: whether A is known to be.
      dtype: of v.
    """

    size: int
    apply: Callable[[jax.Array], jax.Array]
    symmetric: bool
    dtype: Any


def game_jacobian(rule: BoundRule, state: GameState, batch: Any, key: jax.Array) -> Operator:
    """Returns dv/dtheta of the joint gradient that the rule follows, its regularisers included.

    Vectors are all players' parameters, in the order of `ravel_pytree`. Of one player without regularisers
    it is the Hessian.

    Args:
      state: where; its learning rates set the regularisers' coefficients.
      batch: one batch, whatever the rule takes in a step.
    """
    dynamics = rule.dynamics
    symmetric = len(dynamics.game.players) == 1 and not dynamics.structure.changes_field
    apply = functools.partial(_game_product, rule, state, batch, key)
    return _operator(apply, state.params, symmetric)


def hessian(rule: BoundRule, state: GameState, batch: Any, key: jax.Array, player: str) -> Operator:
    """Returns d2 L_x / dtheta_x^2 of one player's own loss, without regularisers.

    It is a diagonal block of the game's Jacobian. Args: as of `game_jacobian`.
    """
    apply = functools.partial(_hessian_product, rule, player, state, batch, key)
    return _operator(apply, state.params[player], symmetric=True)


def gauss_newton(rule: BoundRule, state: GameState, batch: Any, key: jax.Array, player: str) -> Operator:
    """Returns J^T H J of one player's own loss, a function of outputs, without regularisers.

    J is the Jacobian of the outputs by the player's parameters, H the loss's Hessian by the outputs: the
    Hessian without the curvature of the network, positive where the loss is convex. Args: as of
    `game_jacobian`.

    Raises:
      ValueError: the game has no `head`.
    """
    if rule.dynamics.game.head is None:
        raise ValueError("the outputs of this game are not known")
    apply = functools.partial(_gauss_newton_product, rule, player, state, batch, key)
    return _operator(apply, state.params[player], symmetric=True)


def update_jacobian(rule: BoundRule, state: GameState, batch: Any, key: jax.Array) -> Operator:
    """Returns dF/dx of one whole step of the rule, on the augmented state x.

    x: every player's parameters; the floating-point leaves of its optimiser's own state, such as momentum,
    Adam's moments, or a step size that moves; and the rule's memory. What is held: counts, the numbers of
    the config (rates, weights of regularisers), and net_state (batch statistics, singular vectors).

    Args:
      batch: what `rule.step` takes: `rule.batches_per_step` batches.
    """
    apply = functools.partial(_update_product, rule, state, batch, key)
    return _operator(apply, _augmented(state), symmetric=False)


def _operator(apply: Callable, point: Any, symmetric: bool) -> Operator:
    """Returns the operator on vectors like a flattened point."""
    flat = jax.eval_shape(lambda p: ravel_pytree(p)[0], point)
    return Operator(flat.size, apply, symmetric, flat.dtype)


def _directional(function: Callable, point: Any, v: jax.Array) -> jax.Array:
    """Returns (d function / d point) v of a function between like pytrees, all flat."""
    flat, unravel = ravel_pytree(point)
    return jax.jvp(lambda p: ravel_pytree(function(unravel(p)))[0], (flat,), (v,))[1]


@functools.partial(jax.jit, static_argnums=0)
def _game_product(rule: BoundRule, state: GameState, batch: Any, key: jax.Array, v: jax.Array) -> jax.Array:
    """Returns dv/dtheta times a flat vector."""
    dynamics = rule.dynamics
    coefficients = dynamics.coefficients(state)

    def field(params):
        return dynamics.evaluate(state._replace(params=params), coefficients, batch, key).grads

    return _directional(field, state.params, v)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _hessian_product(
    rule: BoundRule, player: str, state: GameState, batch: Any, key: jax.Array, v: jax.Array
) -> jax.Array:
    """Returns the Hessian of a player's loss times a flat vector."""
    dynamics = rule.dynamics
    evaluation = dynamics.evaluate(state, dynamics.coefficients(state), batch, key, [player])
    return _directional(jax.grad(evaluation.own_loss[player]), state.params[player], v)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _gauss_newton_product(
    rule: BoundRule, player: str, state: GameState, batch: Any, key: jax.Array, v: jax.Array
) -> jax.Array:
    """Returns the Gauss-Newton matrix of a player's loss times a flat vector."""
    head, keys = rule.dynamics.game.head, jax.random.split(device_key(key))  # as of an evaluation
    flat, unravel = ravel_pytree(state.params[player])

    def outputs(p):
        return head.outputs({**state.params, player: unravel(p)}, state.net_state, batch, keys[0])

    at, pushed = jax.jvp(outputs, (flat,), (v,))
    _, turned = jax.jvp(jax.grad(lambda o: head.losses(o, batch)[player]), (at,), (pushed,))
    return jax.vjp(outputs, flat)[1](turned)[0]


@functools.partial(jax.jit, static_argnums=0)
def _update_product(
    rule: BoundRule, state: GameState, batch: Any, key: jax.Array, v: jax.Array
) -> jax.Array:
    """Returns dF/dx times a flat vector."""

    def step(augmented):
        return _augmented(rule.step(_with_augmented(state, augmented), batch, key)[0])

    return _directional(step, _augmented(state), v)


def _augmented(state: GameState) -> Any:
    """Returns x: (params, floating-point leaves of each player's optimiser, and of the memory)."""
    inner = {x: opt_state.inner_state for x, opt_state in state.opt_state.items()}
    return state.params, {x: _floats(tree) for x, tree in inner.items()}, _floats(state.memory)


def _with_augmented(state: GameState, augmented: Any) -> GameState:
    """Returns the state with another x."""
    params, floats, memory = augmented
    opt_state = {}
    for x, own in state.opt_state.items():
        opt_state[x] = own._replace(inner_state=_with_floats(own.inner_state, floats[x]))
    return state._replace(params=params, opt_state=opt_state, memory=_with_floats(state.memory, memory))


def _floats(tree: Any) -> list:
    """Returns the floating-point leaves of a tree."""
    return list(filter(_is_float, jax.tree.leaves(tree)))


def _with_floats(tree: Any, floats: list) -> Any:
    """Returns a tree with other floating-point leaves."""
    new = iter(floats)
    return jax.tree.map(lambda leaf: next(new) if _is_float(leaf) else leaf, tree)


def _is_float(leaf: Any) -> bool:
    """Tells whether a leaf holds floating-point numbers."""
    return jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
