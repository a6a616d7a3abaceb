"""Discretisation drift: the terms by which a discrete update differs from its continuous flow.

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021. For a player x with
learning rate h_x, and its opponent y, backward error analysis finds that one update follows the flow of
the modified loss

    L_x + c_self  1/2 ||grad_x L_x||^2 + c_dot  <grad_y L_x, sg(grad_y L_y)>

up to O(h^3), sg being stop_gradient. This file has the coefficients c; lib/games/regularizers.py has the
terms. To cancel a term of the drift, add it to the loss with the opposite sign.

Clocks. A flow must be read at some time, and players with unequal rates do not agree on one.

    per_player  x' = -grad_x L_x for all players; player x is compared at time h_x. The paper's
                coefficients.
    shared      x' = -h_x grad_x L_x for all players, who are compared together at time 1: one flow of
                the whole game, which many steps follow as well. Here the field is
                F = (-h_x grad_x L_x)_x, the flow moves by F + 1/2 F'F + .., and what a step does beyond
                that is the drift.

With equal rates the two are the same. With unequal ones, coefficients of one clock leave an error O(h^2) on
the other.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

Clock = Literal["per_player", "shared"]


class Coefficients(NamedTuple):
    """What multiplies the gradient of each term of one player x against its opponent y.

    A field of the config has this type too. There the values are numbers; in a state, and where learning
    rates make them, they are scalar arrays.

    Attributes:
      self_norm: of grad_x <grad_x L_x, sg(grad_x L_x)>.
      other_norm: of grad_x <grad_y L_y, sg(grad_y L_y)>.
      other_dot_prod: of grad_x <grad_y L_x, sg(grad_y L_y)>.
    """

    self_norm: float
    other_norm: float
    other_dot_prod: float


# The terms that some update rule has a drift in; multipliers of others multiply zero.
DRIFTING = ("self_norm", "other_dot_prod")


def simultaneous(
    learning_rates: Mapping[str, jax.Array], clock: Clock = "per_player"
) -> dict[str, Coefficients]:
    """Returns the drift coefficients of simultaneous updates.

    self_norm h_x / 2 and other_dot_prod h_x / 2 (Rosca et al., 2021, Theorem 3.1); on the shared clock the
    drift is -1/2 F'F, and other_dot_prod h_y / 2 with the opponent's rate.

    Args:
      learning_rates: {player: h_x}, scalars.
      clock: on which the flow is read.

    Returns:
      {player: Coefficients}, of scalars like the rates.

    Raises:
      ValueError: more than two players on the shared clock, where no one opponent sets the coefficient.
    """
    other = _opponents_rates(learning_rates) if clock == "shared" else learning_rates
    return {x: Coefficients(h / 2, 0.0, other[x] / 2) for x, h in learning_rates.items()}


def alternating(
    learning_rates: Mapping[str, jax.Array], num_updates: Mapping[str, int], clock: Clock = "per_player"
) -> dict[str, Coefficients]:
    """Returns the drift coefficients of alternating updates.

    With m updates of the first player and k of the second, h_1 and h_2 being the rates of their whole turns
    (m and k times those of one update), (Rosca et al., 2021, Theorem 3.2):
      first: self_norm h_1 / (2 m), other_dot_prod h_1 / 2;
      second: self_norm h_2 / (2 k), other_dot_prod (h_2 / 2) (1 - 2 h_1 / h_2).
    On the shared clock other_dot_prod is h_2 / 2 of the first and -h_1 / 2 of the second: the second player
    sees the whole of the first one's move, where the flow sees half of it.

    Args:
      learning_rates: {player: rate of one update}, one or two players in the order in which they move.
      num_updates: {player: updates in one turn}.
      clock: on which the flow is read.

    Returns:
      {player: Coefficients}, of scalars like the rates.
    """
    turn = {x: num_updates[x] * h for x, h in learning_rates.items()}
    # h_x / (2 num_updates) of the whole turn is half the rate of one update.
    self_norm = {x: h / 2 for x, h in learning_rates.items()}
    if len(turn) == 1:
        return {x: Coefficients(c, 0.0, 0.0) for x, c in self_norm.items()}
    (first, h_1), (second, h_2) = turn.items()
    dots = {"per_player": (h_1 / 2, h_2 / 2 - h_1), "shared": (h_2 / 2, -h_1 / 2)}[clock]
    return {x: Coefficients(self_norm[x], 0.0, dot) for x, dot in zip((first, second), dots, strict=True)}


def _opponents_rates(learning_rates: Mapping[str, jax.Array]) -> dict[str, jax.Array | float]:
    """Returns {player: the rate of the other one}, 0 where there is none."""
    if len(learning_rates) > 2:
        raise ValueError("the drift on the shared clock is for games of at most two players")
    others = {x: [h for y, h in learning_rates.items() if y != x] for x in learning_rates}
    return {x: h[0] if h else 0.0 for x, h in others.items()}


def total(
    drift: Mapping[str, Coefficients],
    multiplier: Mapping[str, Coefficients],
    explicit: Mapping[str, Coefficients],
) -> dict[str, Coefficients]:
    """Returns the coefficients of the terms that are added to each player's loss.

    multiplier * drift + explicit, term by term. A multiplier of -1 cancels a term of the drift, 0 leaves
    it, 1 doubles it.
    """
    return {
        x: jax.tree.map(lambda d, m, e: jnp.asarray(m * d + e), drift[x], multiplier[x], explicit[x])
        for x in drift
    }
