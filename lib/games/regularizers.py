"""Gradients of the drift terms and of every regulariser made of gradients' inner products.

For a player x and another player y,

    self_norm        grad_x <grad_x L_x, sg(grad_x L_x)>  =  (d/dtheta_x)(grad_x L_x) v_x
    other_dot_prod   grad_x <grad_y L_x, sg(grad_y L_y)>  =  (d/dtheta_y)(grad_x L_x) v_y
    other_norm       grad_x <grad_y L_y, sg(grad_y L_y)>  =  (d/dtheta_y)(grad_x L_y) v_y

with v_x = grad_x L_x and v_y = grad_y L_y stopped: each is a directional derivative of a gradient along v,
which needs no stop_gradient and so leaves the step differentiable, for its Jacobian; and those along
several directions of one gradient are one directional derivative along their weighted sum. So a player's
whole regulariser costs at most two forward-over-reverse passes, and terms that are not asked for cost
nothing.

Estimators. A term is a product of a differentiated and a stopped factor, both expectations over the data.
Let D be this device's batch, D_1 and D_2 its halves with latents of their own, g(D) a gradient on it, and
mean g the mean of g over all devices. After the average over devices that follows,

    biased             <g(D), sg(g(D))>           estimates E <g(D), g(D)>: the product of expectations and
                                                  the covariance of both factors on a device's batch
    biased_averaged    <g(D), sg(mean g(D))>      the same on the whole batch: the exact term of its
                                                  mean loss
    unbiased           <g(D_1), sg(g(D_2))>       estimates <E g, E g>, E g the mean of gradients on
                                                  batches of half a device's size
    unbiased_averaged  <g(D_1), sg(mean g(D_2))>  estimates the same with a lower variance (the paper's
                                                  default)

(E g is the gradient of the expected loss unless a net mixes examples, as batch norm does: then it depends
on the size of the batch.)
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax

from lib.games.drift import Coefficients
from lib.games.game import Game, gradients, pull
from lib.runtime.devices import pmean

Estimator = Literal["biased", "biased_averaged", "unbiased", "unbiased_averaged"]
TERMS = Coefficients._fields


def regularizer_gradients(
    game: Game,
    coefficients: Mapping[str, Coefficients],
    active: Mapping[str, Sequence[str]],
    params: Mapping[str, Any],
    net_state: Any,
    batch: Any,
    key: jax.Array,
    estimator: Estimator = "unbiased_averaged",
) -> dict[str, Any]:
    """Returns what the terms add to every player's gradient, on this device (average over devices after).

    Args:
      coefficients: {player: Coefficients}, numbers or scalar arrays.
      active: {player: names of the terms with a coefficient that is not zero}. This is structure:
        other terms are not computed, whatever their coefficient.
      estimator: on which data the two factors are evaluated, see above.

    Returns:
      {player: pytree like params[player]}, for the players that have active terms.
    """
    active = {x: tuple(terms) for x, terms in active.items() if terms}
    if not active:
        return {}
    differentiated, stopped = _two_batches(batch, key, estimator)
    moving = _needed_directions(game, active)
    directions, _, _ = gradients(game, params, net_state, *stopped, players=moving)
    if estimator.endswith("averaged"):
        directions = pmean(directions)

    def gradient(x: str, y: str, moved: Mapping[str, Any]):
        """Returns grad_x L_y where the players in `moved` stand elsewhere."""
        point = {**params, **moved}
        losses, pullback, _ = jax.vjp(
            lambda p: game.losses(p, net_state, *differentiated), point, has_aux=True
        )
        return pull(losses, pullback, y)[x]

    totals = {}
    for x, terms in active.items():
        parts = []
        for y in game.players:
            weights = _direction_weights(game, terms, coefficients[x], x, y)
            if weights:
                at = {z: params[z] for z in weights}
                tangent = {z: jax.tree.map(lambda v, w=w: w * v, directions[z]) for z, w in weights.items()}
                # The primal passes of all these are the same program: the compiler runs one.
                parts.append(jax.jvp(functools.partial(gradient, x, y), (at,), (tangent,))[1])
        if parts:  # none where there is no other player
            totals[x] = jax.tree.map(lambda *leaves: sum(leaves), *parts)
    return totals


def _direction_weights(
    game: Game, terms: Sequence[str], c: Coefficients, x: str, y: str
) -> dict[str, jax.Array]:
    """Returns {z: weight of direction v_z} in the directional derivative of grad_x L_y."""
    weights = {}
    if y == x:
        if "self_norm" in terms:
            weights[x] = c.self_norm
        if "other_dot_prod" in terms:
            weights |= {z: c.other_dot_prod for z in game.players if z != x}
    elif "other_norm" in terms:
        weights[y] = c.other_norm
    return weights


def _needed_directions(game: Game, active: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Returns the players whose own gradient is a direction of some active term."""
    needed = set()
    for x, terms in active.items():
        if "self_norm" in terms:
            needed.add(x)
        if "other_dot_prod" in terms or "other_norm" in terms:
            needed.update(y for y in game.players if y != x)
    return tuple(x for x in game.players if x in needed)


def active_terms(coefficients: Mapping[str, Coefficients]) -> dict[str, tuple[str, ...]]:
    """Returns {player: names of the terms whose coefficient, a plain number, is not zero}."""
    return {x: tuple(t for t in TERMS if getattr(c, t) != 0) for x, c in coefficients.items()}


def min_batch(estimator: Estimator) -> int:
    """Returns the least number of examples that an estimator can be computed from."""
    return 2 if estimator.startswith("unbiased") else 1


def _two_batches(batch: Any, key: jax.Array, estimator: Estimator):
    """Returns (batch, key) of the differentiated factor and (batch, key) of the stopped one."""
    if estimator.startswith("biased"):
        return (batch, key), (batch, key)
    first = jax.tree.map(lambda x: x[: x.shape[0] // 2], batch)
    second = jax.tree.map(lambda x: x[x.shape[0] // 2 :], batch)
    key_1, key_2 = jax.random.split(key)
    return (first, key_1), (second, key_2)
