"""What an update rule is: the facts that are known of it, and how it makes a step of a game's dynamics."""

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from lib.config import Section
from lib.games import drift
from lib.games.averages import averaged_states
from lib.games.drift import Clock, Coefficients
from lib.games.evaluated import evaluated
from lib.games.game import Params
from lib.games.updates.dynamics import Dynamics, Step
from lib.games.updates.state import GameState

ANY = "any optimiser"
NO_POINTS = "optimisers that keep no parameters of their own, as schedule-free ones do"
SGD, PLAIN_SGD = "'sgd' without clipping", "'sgd' without momentum and clipping"


class Options(NamedTuple):
    """What a config may ask of a rule; a rule reads what its facts say that it does.

    Attributes:
      order: the players in the order of their turns.
      num_updates: {player: updates in one turn}.
      fresh: whether every stage sees a batch of its own.
      separate: whether every player sees a batch of its own.
      arguments: of the rule, its `arguments` with the values of the config.
    """

    order: Sequence[str]
    num_updates: Mapping[str, int]
    fresh: bool = False
    separate: bool = False
    arguments: Any = None


class NoArguments(Section):
    """Arguments of a rule that has none."""


class BoundRule(NamedTuple):
    """An update rule for one game.

    Attributes:
      init: `(params, net_state) -> GameState` before the first step, from the nearest parameters that the
        optimisers allow.
      step: `(state, batch, key) -> (state, metrics)`.
      batches_per_step: how many batches `batch` holds, concatenated.
      dynamics: the field that the players follow, and the game it is of, for analyses.
    """

    init: Callable[[Params, Any], GameState]
    step: Step
    batches_per_step: int
    dynamics: Dynamics

    def evaluated(self, state: GameState) -> GameState:
        """Returns the state with the parameters that are evaluated in the place of those that move.

        They differ where an optimiser says so, as schedule-free ones do. Of an average, and of a state that
        this has returned, they are the parameters.
        """
        return evaluated(self.dynamics.optimizers, state)

    def averages(self, state: GameState) -> dict[str, GameState]:
        """Returns {kind: the state with averages in the place of the parameters}, to be evaluated."""
        return averaged_states(self.evaluated(state))


class UpdateRule(abc.ABC):
    """An update rule: its facts, and how it is built.

    Attributes:
      arguments: the class of its own arguments, whose fields have defaults.
      stages: gradients of the joint field in a step, which may see batches of their own.
      in_turn: players have turns, several updates each, in an order.
      rk_after: has a combined gradient that `rk_after` terms are added to.
      has_drift_theory: with plain SGD, `drift` of this rule is its discretisation drift. For others the
        multipliers multiply the coefficients of simultaneous updates, which their drift is not.
      has_leader: the first player in the order leads, and the others follow.
      stationary: whether all steps are one map of the state.
      made_for: the optimisers with which the steps are the paper's: ANY; NO_POINTS where a step moves
        parameters beside them; where it computes with their rates SGD (momentum or not) or PLAIN_SGD.
    """

    arguments: type[Section] = NoArguments
    stages: int = 1
    in_turn: bool = False
    rk_after: bool = False
    has_drift_theory: bool = False
    has_leader: bool = False
    stationary: bool = True
    made_for: str = ANY

    @abc.abstractmethod
    def build(self, dynamics: Dynamics, options: Options) -> Step:
        """Builds the step of one game."""

    def memory(self, params: Params) -> Any:
        """Returns what the rule carries from step to step, before the first."""
        del params
        return {}

    def takes_turns(self, arguments: Any) -> bool:
        """Tells whether players have turns, with these arguments."""
        del arguments
        return self.in_turn

    def sound_with(self, arguments: Any) -> str:
        """Returns `made_for` of the rule with these arguments."""
        del arguments
        return self.made_for

    def batches_per_step(self, options: Options) -> int:
        """Returns how many batches a step takes, concatenated."""
        stages = self.stages if options.fresh else 1
        return stages * (len(options.order) if options.separate else 1)

    def drift(
        self, learning_rates: Mapping[str, jax.Array], options: Options, clock: Clock
    ) -> dict[str, Coefficients]:
        """Returns {player: drift coefficients} at {player: learning rate of one update}."""
        del options
        return drift.simultaneous(learning_rates, clock)
