"""What a training step changes, and the regularisers: their numbers, and what a compiled step fixes."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from lib.games import symplectic
from lib.games.averages import Averages
from lib.games.drift import DRIFTING, Clock, Coefficients
from lib.games.regularizers import TERMS, Estimator, active_terms


class Weights(NamedTuple):
    """The numbers of the regularisers: of the config, or arrays of the state, where a sweep may vary them.

    Attributes:
      multiplier: {player: Coefficients}: of the drift's own coefficients.
      explicit: {player: Coefficients}: added to them.
      rk_after: {player: Coefficients}: added once to a Runge-Kutta step's combined gradient.
      sga: lambda of the symplectic gradient adjustment.
    """

    multiplier: Mapping[str, Coefficients]
    explicit: Mapping[str, Coefficients]
    rk_after: Mapping[str, Coefficients]
    sga: float

    @classmethod
    def none(cls, players: Sequence[str]) -> "Weights":
        """Returns the weights that add nothing."""
        zeros = {x: Coefficients(0.0, 0.0, 0.0) for x in players}
        return cls(zeros, zeros, zeros, 0.0)


class Regularizers(NamedTuple):
    """What is added to the players' gradients at first: numbers of the config, and how they are used.

    Attributes:
      weights: of the first state; those that are zero here stay so, for their terms are not computed.
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
        """Returns the regularisers that add nothing."""
        return cls(Weights.none(players))

    def structure(self) -> "Structure":
        """Returns what of them is fixed in a compiled step."""
        multiplier, explicit, rk_after, weight = self.weights
        sga = "off" if weight == 0 else "aligned" if self.sga_align else "fixed"
        added = active_terms(explicit)
        drifting = {x: [t for t in terms if t in DRIFTING] for x, terms in active_terms(multiplier).items()}
        adjusting = active_terms({"": symplectic.A_TRANSPOSED_XI})[""] if sga == "fixed" else ()
        terms = {x: tuple(t for t in TERMS if t in {*added[x], *drifting[x], *adjusting}) for x in explicit}
        return Structure(terms, active_terms(rk_after), sga, self.estimator)


class Structure(NamedTuple):
    """Which regularisers a step computes, and how. Their numbers are the state's.

    Attributes:
      terms: {player: names of the terms that are added to its gradient}: whose coefficient may not be zero.
      rk_after: {player: names of the terms that are added to a Runge-Kutta step's combined gradient}.
      sga: off; fixed: two more terms; aligned: with a sign that needs the terms' values.
      estimator: see lib/games/regularizers.py.
    """

    terms: Mapping[str, tuple[str, ...]]
    rk_after: Mapping[str, tuple[str, ...]]
    sga: Literal["off", "fixed", "aligned"]
    estimator: Estimator

    @property
    def changes_field(self) -> bool:
        """Tells whether the players follow anything else than their own gradients."""
        return any(self.terms.values()) or self.sga != "off"


class GameState(NamedTuple):
    """All that a training step changes, and the numbers that a sweep may vary.

    Attributes:
      params: {player: pytree}.
      net_state: what nets carry besides parameters.
      opt_state: {player: optimiser state}.
      memory: what the update rule carries, {} for most.
      weights: of the regularisers.
      averages: of the parameters; None where none are kept.
    """

    params: dict[str, Any]
    net_state: Any
    opt_state: dict[str, Any]
    memory: Any
    weights: Weights
    averages: Averages | None = None
