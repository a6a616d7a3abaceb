"""Discretisation drift: the terms by which a discrete update differs from its continuous flow.

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021. For a player x with
learning rate h_x, and its opponent y, backward error analysis finds that one update follows the flow of
the modified loss

    L_x + c_self  1/2 ||grad_x L_x||^2 + c_dot  <grad_y L_x, sg(grad_y L_y)>

up to O(h^3), sg being stop_gradient. This file has the coefficients c; lib/games/regularizers.py has the
terms. To cancel a term of the drift, add it to the loss with the opposite sign.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lib.config import Section


class Coefficients(NamedTuple):
    """What multiplies the gradient of each term of one player x against its opponent y.

    Attributes:
      self_norm: of grad_x <grad_x L_x, sg(grad_x L_x)>.
      other_norm: of grad_x <grad_y L_y, sg(grad_y L_y)>.
      other_dot_prod: of grad_x <grad_y L_x, sg(grad_y L_y)>.
    """

    self_norm: jax.Array | float
    other_norm: jax.Array | float
    other_dot_prod: jax.Array | float


class Terms(Section):
    """`Coefficients` as a section of the config."""

    self_norm: float
    other_norm: float
    other_dot_prod: float

    def as_coefficients(self) -> Coefficients:
        return Coefficients(self.self_norm, self.other_norm, self.other_dot_prod)


def simultaneous(learning_rates: Mapping[str, jax.Array]) -> dict[str, Coefficients]:
    """Drift of simultaneous updates (Theorem 3.1): h_x / 2 on both terms of every player."""
    return {x: Coefficients(h / 2, 0.0, h / 2) for x, h in learning_rates.items()}


def alternating(
    learning_rates: Mapping[str, jax.Array], num_updates: Mapping[str, int]
) -> dict[str, Coefficients]:
    """Drift of alternating updates (Theorem 3.2), players in the order in which they move.

    With m updates of the first player and k of the second, h_1 and h_2 being the whole moves' rates
    of the theorem as the paper's code has them:
      first: self_norm h_1 / (2 m), other_dot_prod h_1 / 2;
      second: self_norm h_2 / (2 k), other_dot_prod (h_2 / 2) (1 - 2 h_1 / h_2).
    """
    if len(learning_rates) == 1:
        ((x, h),) = learning_rates.items()
        return {x: Coefficients(h / (2 * num_updates[x]), 0.0, 0.0)}
    (first, h_1), (second, h_2) = learning_rates.items()
    m, k = num_updates[first], num_updates[second]
    return {
        first: Coefficients(h_1 / (2 * m), 0.0, h_1 / 2),
        second: Coefficients(h_2 / (2 * k), 0.0, h_2 / 2 * (1 - 2 * h_1 / h_2)),
    }


def total(
    drift: Mapping[str, Coefficients],
    multiplier: Mapping[str, Coefficients],
    explicit: Mapping[str, Coefficients],
) -> dict[str, Coefficients]:
    """multiplier * drift + explicit, term by term: what is added to each player's loss.

    A multiplier of -1 cancels a term of the drift, 0 leaves it, 1 doubles it.
    """
    return {
        x: jax.tree.map(lambda d, m, e: jnp.asarray(m * d + e), drift[x], multiplier[x], explicit[x])
        for x in drift
    }
