"""What a training step changes, and the numbers of the regularisers."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax

from lib.games.drift import Clock, Coefficients
from lib.games.regularizers import TERMS, Estimator


class Weights(NamedTuple):
    """The numbers of the regularisers: of the config, or as arrays of the state, where a sweep may vary them.

    Attributes:
      multiplier: {player: Coefficients}: of the drift's own coefficients.
      explicit: {player: Coefficients}: added to them.
      rk_after: {player: Coefficients}: added once to a Runge-Kutta step's combined gradient.
      sga: lambda of the symplectic gradient adjustment.
    """

    multiplier: Mapping[str, Coefficients]
    explicit: Mapping[str, Coefficients]
    rk_after: Mapping[str, Coefficients]
    sga: jax.Array | float

    @classmethod
    def none(cls, players: Sequence[str]) -> "Weights":
        zeros = {x: Coefficients(0.0, 0.0, 0.0) for x in players}
        return cls(zeros, zeros, zeros, 0.0)


class Regularizers(NamedTuple):
    """What is added to the players' gradients: numbers of the config, and how they are used.

    Attributes:
      weights: which of them are zero is structure: those terms are not computed.
      estimator: see lib/games/regularizers.py.
      clock: on which the drift is measured, see lib/games/drift.py.
      sga_align: whether the adjustment has the sign of its alignment, see lib/games/symplectic.py.
    """

    weights: Weights
    estimator: Estimator = "unbiased_averaged"
    clock: Clock = "per_player"
    sga_align: bool = True

    @classmethod
    def none(cls, players: Sequence[str]) -> "Regularizers":
        return cls(Weights.none(players))


class GameState(NamedTuple):
    """All that a training step changes, and the numbers that a sweep may vary.

    Attributes:
      params: {player: pytree}.
      net_state: what nets carry besides parameters.
      opt_state: {player: optimiser state}.
      memory: what the update rule carries, {} for most.
      weights: of the regularisers.
    """

    params: dict[str, Any]
    net_state: Any
    opt_state: dict[str, Any]
    memory: Any
    weights: Weights


def active_terms(coefficients: Mapping[str, Coefficients]) -> dict[str, tuple[str, ...]]:
    """{player: names of the terms whose coefficient, a plain number, is not zero}."""
    return {x: tuple(t for t in TERMS if getattr(c, t) != 0) for x, c in coefficients.items()}
