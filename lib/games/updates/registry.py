"""Update rules by name."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lib.errors import lookup
from lib.games import drift
from lib.games.drift import Clock, Coefficients
from lib.games.game import Game, Params
from lib.games.updates import runge_kutta
from lib.games.updates.dynamics import Dynamics, Step
from lib.games.updates.euler import alternating, simultaneous
from lib.games.updates.extragradient import extragradient, optimistic
from lib.games.updates.runge_kutta import Tableau
from lib.games.updates.state import GameState, Regularizers
from lib.optimizers import Optimizer


class Options(NamedTuple):
    """What a rule may be told; each rule reads what its entry in RULES says it does.

    Attributes:
      order: the players in the order of their turns.
      num_updates: {player: updates in one turn}.
      fresh: whether every stage sees a batch of its own.
    """

    order: Sequence[str]
    num_updates: Mapping[str, int]
    fresh: bool = False


class Rule(NamedTuple):
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


class Family(NamedTuple):
    """How a rule is built, and what is known of it.

    Attributes:
      step: `(dynamics, options) -> step`.
      stages: gradients of the joint field in a step, which may see batches of their own.
      in_turn: players have turns, several updates each, in an order.
      rk_after: has a combined gradient that `rk_after` terms are added to.
      memory: `(params) -> memory` before the first step.
      has_drift_theory: with plain SGD, `drift` of this rule is its discretisation drift. For others the
        multipliers multiply the coefficients of simultaneous updates, which their drift is not.
      plain_ahead: looks ahead by plain gradient steps, so that its theory is one of plain SGD.
    """

    step: Callable[[Dynamics, Options], Step]
    stages: int = 1
    in_turn: bool = False
    rk_after: bool = False
    memory: Callable[[Params], Any] = lambda params: {}
    has_drift_theory: bool = False
    plain_ahead: bool = False

    def drift(
        self, options: Options, clock: Clock
    ) -> Callable[[Mapping[str, Any]], dict[str, Coefficients]]:
        """({player: learning rate}) -> {player: Coefficients} of this rule."""
        if not self.in_turn:
            return lambda rates: drift.simultaneous(rates, clock)
        return lambda rates: drift.alternating(
            {x: rates[x] for x in options.order}, options.num_updates, clock
        )


def _runge_kutta(tableau: Tableau, **known: Any) -> Family:
    build = lambda dynamics, options: runge_kutta.runge_kutta(dynamics, tableau, options.fresh)
    return Family(build, stages=len(tableau.b), rk_after=True, **known)


RULES = {
    "simultaneous": Family(lambda d, o: simultaneous(d), has_drift_theory=True),
    "alternating": Family(
        lambda d, o: alternating(d, o.order, o.num_updates), in_turn=True, has_drift_theory=True
    ),
    "runge_kutta_1": _runge_kutta(runge_kutta.EULER, has_drift_theory=True),
    "runge_kutta_2": _runge_kutta(runge_kutta.HEUN, plain_ahead=True),
    "runge_kutta_4": _runge_kutta(runge_kutta.CLASSICAL, plain_ahead=True),
    "extragradient": Family(lambda d, o: extragradient(d, o.fresh), stages=2),
    "optimistic": Family(
        lambda d, o: optimistic(d),
        memory=lambda params: jax.tree.map(jnp.zeros_like, dict(params)),
        plain_ahead=True,
    ),
}


def make(
    name: str,
    game: Game,
    optimizers: Mapping[str, Optimizer],
    regularizers: Regularizers,
    options: Options | None = None,
) -> Rule:
    """Builds an update rule by name.

    Args:
      options: by default the game's order of players, one update each, one batch for all stages.

    Raises:
      ConfigError: an unknown name.
    """
    family = lookup(RULES, name, "config.gan.updates")
    options = options or Options(game.players, dict.fromkeys(game.players, 1))
    dynamics = Dynamics(game, optimizers, regularizers, family.drift(options, regularizers.clock))

    def init(params: Params, net_state: Any) -> GameState:
        params = {x: optimizers[x].project(params[x]) for x in params}
        return GameState(
            params=params,
            net_state=net_state,
            opt_state={x: optimizers[x].init(params[x]) for x in params},
            memory=family.memory(params),
            weights=jax.tree.map(lambda w: jnp.asarray(w, float), regularizers.weights),
        )

    if family.in_turn:
        num_batches = max(options.num_updates.values())
    else:
        num_batches = family.stages if options.fresh else 1
    return Rule(init, family.step(dynamics, options), num_batches, dynamics)
