"""The modified flows of a game's updates up to third order, by Jacobian-vector products alone.

An update x -> Phi(x) is the flow of a modified field for time 1, an asymptotic series f_1 + f_2 + f_3 + ..
in which f_k has the order h^k of the learning rates. Following its first k terms, one update is O(h^(k+1))
away. With D_a b = b'a, the derivative of a field b along a field a,

    Euler step       F = (-h_x grad_x L_x)_x:  f_1 = F,   f_2 = -(1/2) D_F F,
    (simultaneous)   f_3 = (1/12) F''(F, F) + (1/3) F'F'F = (1/12) D_F D_F F + (1/4) F'(D_F F)
    a, then b        f_1 = a_1 + b_1,   f_2 = a_2 + b_2 + (1/2) [a_1, b_1],
    (alternating)    f_3 = a_3 + b_3 + (1/2) ([a_1, b_2] + [a_2, b_1])
                           + (1/12) ([a_1, [a_1, b_1]] + [b_1, [b_1, a_1]])

with the bracket [a, b] = D_a b - D_b a. The first line is the modified equation of Euler's method, the
second the series of Baker, Campbell and Hausdorff for the Euler steps of players who take turns.

Hairer, Lubich, Wanner, 'Geometric Numerical Integration', second edition, 2006: IX.1 (modified equations),
III.4 and III.5 (the series, and its use for compositions). The terms of second order are the drift of Rosca
et al., ICML 2021, on the shared clock (lib/games/drift.py).
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from lib.errors import lookup
from lib.games.flows.integration import Field, integrate
from lib.games.flows.players import Rates, flatten
from lib.games.game import Aux, Game, gradients

ORDERS = (1, 2, 3)
_Field = Callable[[jax.Array], jax.Array]  # [d] -> [d], differentiable


class Series(NamedTuple):
    """The first terms of a modified field: fields of the orders h, h^2 and h^3."""

    first: _Field
    second: _Field
    third: _Field


def frozen(game: Game, net_state: Any, batch: Any, key: jax.Array) -> Game:
    """Returns the game on one batch with one state and one key, whatever its losses are called with.

    Its flow has no noise, as that of full-batch updates.
    """

    def losses(params, *_):
        values, _ = game.losses(params, net_state, batch, key)
        return values, Aux({}, {})

    return Game(game.players, losses)


def euler(field: _Field) -> Series:
    """Returns the modified field of the step x -> x + F(x)."""
    slope = _along(field, field)

    def third(x: jax.Array) -> jax.Array:
        return _along(slope, field)(x) / 12 + _along(field, slope)(x) / 4

    return Series(field, lambda x: -slope(x) / 2, third)


def composed(a: Series, b: Series) -> Series:
    """Returns the modified field of the update that follows a, then b (Baker, Campbell, Hausdorff)."""
    bracket = _bracket(a.first, b.first)
    mixed = _sum(_bracket(a.first, b.second), _bracket(a.second, b.first))
    # [b, [b, a]] = -[b, [a, b]]
    double = _sum(_bracket(a.first, bracket), _bracket(bracket, b.first))
    return Series(
        _sum(a.first, b.first),
        lambda x: a.second(x) + b.second(x) + bracket(x) / 2,
        lambda x: a.third(x) + b.third(x) + mixed(x) / 2 + double(x) / 12,
    )


def _along(field: _Field, direction: _Field) -> _Field:
    """Returns D_a b = b'a of the field b along the direction a."""
    return lambda x: jax.jvp(field, (x,), (direction(x),))[1]


def _bracket(a: _Field, b: _Field) -> _Field:
    """Returns [a, b] = D_a b - D_b a."""
    return lambda x: jax.jvp(b, (x,), (a(x),))[1] - jax.jvp(a, (x,), (b(x),))[1]


def _sum(a: _Field, b: _Field) -> _Field:
    """Returns a + b."""
    return lambda x: a(x) + b(x)


def _simultaneous(field_of: Callable[[tuple[str, ...]], _Field], players: tuple[str, ...]) -> Series:
    """Returns the series of one Euler step of all players."""
    return euler(field_of(players))


def _alternating(field_of: Callable[[tuple[str, ...]], _Field], players: tuple[str, ...]) -> Series:
    """Returns the series of Euler steps of one player after the other."""
    return functools.reduce(composed, (euler(field_of((player,))) for player in players))


RULES = {"simultaneous": _simultaneous, "alternating": _alternating}


def update_flow(rule: str, game: Game, params: Mapping[str, Any], rates: Rates, order: int = 3) -> Field:
    """Returns the velocity of all players, [d] -> [d], whose flow one update follows to O(h^(order + 1)).

    The clock is the shared one: one update is one unit of time.

    Args:
      rule: simultaneous or alternating, gradient descent of every player, one update in its turn.
      game: without data, state or randomness, or `frozen`. Smooth: order 3 takes fourth derivatives.
      params: any point, for its structure.
      rates: {player: learning rate}, in the order in which the players move.
      order: 1 (the flow of the game), 2 (with the drift) or 3.

    Raises:
      ConfigError: no rule has that name.
      ValueError: another order.
    """
    lookup(RULES, rule, "rule")
    if order not in ORDERS:
        raise ValueError(f"order: {order}; known: 1, 2, 3")
    _, unravel = flatten(params)
    return lambda theta: _velocity(rule, game, unravel, order, tuple(rates), theta, dict(rates))


# Compiled once for a game, a rule and an order, whatever the rates.
@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 4))
def _velocity(
    rule: str,
    game: Game,
    unravel: Callable,
    order: int,
    players: tuple[str, ...],
    theta: jax.Array,
    rates: Rates,
) -> jax.Array:
    """Returns the first terms of the modified field at a point, [d]."""

    def field_of(movers: tuple[str, ...]) -> _Field:
        """Returns (-h_x grad_x L_x)_x of some players, 0 of the others."""

        def field(x: jax.Array) -> jax.Array:
            point = unravel(x)
            grads, _, _ = gradients(game, point, {}, None, jax.random.key(0), movers)
            still = {player: jax.tree.map(jnp.zeros_like, leaf) for player, leaf in point.items()}
            moves = {p: jax.tree.map(lambda g, h=rates[p]: -h * g, g) for p, g in grads.items()}
            return ravel_pytree(still | moves)[0]

        return field

    series = RULES[rule](field_of, players)
    return sum(term(theta) for term in series[:order])


def update_positions(
    rule: str, game: Game, params: Mapping[str, Any], rates: Rates, steps: int, order: int = 3
) -> np.ndarray:
    """Follows the modified flow for n = 0 .. steps updates.

    Args:
      rule, game, params, rates, order: as of `update_flow`.

    Returns:
      [steps + 1, d], points flattened by ravel_pytree, in float64.

    Raises:
      FlowError: the flow cannot be followed so far.
    """
    theta, _ = flatten(params)
    return integrate(update_flow(rule, game, params, rates, order), theta, np.arange(steps + 1.0))
