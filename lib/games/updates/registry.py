"""Update rules by name."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from lib.errors import lookup
from lib.games import averages
from lib.games.averages import NO_AVERAGES, Averaging
from lib.games.diagnostics import Diagnostic
from lib.games.evaluated import evaluated
from lib.games.game import Game, Params
from lib.games.updates.anchored import AnchoredExtragradient
from lib.games.updates.competitive import Competitive
from lib.games.updates.dynamics import Dynamics, Step, split
from lib.games.updates.euler import Alternating, Simultaneous
from lib.games.updates.extragradient import Extragradient, Optimistic
from lib.games.updates.lead import Lead
from lib.games.updates.lookahead import Lookahead
from lib.games.updates.ridge import FollowTheRidge
from lib.games.updates.rule import BoundRule, Options, UpdateRule
from lib.games.updates.runge_kutta import CLASSICAL, EULER, HEUN
from lib.games.updates.state import GameState, Regularizers, Weights
from lib.games.updates.surgery import LocalSymplecticSurgery
from lib.optimizers import Optimizer

UPDATE_RULES: dict[str, UpdateRule] = {
    "simultaneous": Simultaneous(),
    "alternating": Alternating(),
    "runge_kutta_1": EULER,
    "runge_kutta_2": HEUN,
    "runge_kutta_4": CLASSICAL,
    "extragradient": Extragradient(),
    "optimistic": Optimistic(),
    "anchored_extragradient": AnchoredExtragradient(),
    "lookahead": Lookahead(),
    "lead": Lead(),
    "competitive": Competitive(),
    "follow_the_ridge": FollowTheRidge(),
    "local_symplectic_surgery": LocalSymplecticSurgery(),
}


def make(
    name: str,
    game: Game,
    optimizers: Mapping[str, Optimizer],
    regularizers: Regularizers,
    options: Options | None = None,
    averaging: Averaging = NO_AVERAGES,
    diagnostics: Sequence[Diagnostic] = (),
) -> BoundRule:
    """Binds the update rule of that name to a game.

    Args:
      optimizers: {player: its optimiser}.
      regularizers: what is added to the players' gradients.
      options: by default the game's order of players, one update each, one batch for all stages.
      averaging: which averages of the parameters are kept.
      diagnostics: which metrics of the game come with those of a step, see lib/games/diagnostics.py.

    Raises:
      ConfigError: an unknown name, of the field `updates`.
    """
    rule = lookup(UPDATE_RULES, name, "updates")
    options = options or Options(game.players, dict.fromkeys(game.players, 1))
    if options.arguments is None:
        options = options._replace(arguments=rule.arguments())
    drift = functools.partial(rule.drift, options=options, clock=regularizers.clock)
    structure = regularizers.structure()
    dynamics = Dynamics(game, optimizers, structure, drift, options.separate, tuple(diagnostics))
    num_batches = rule.batches_per_step(options)
    step = _measured(rule.build(dynamics, options), dynamics, num_batches)
    return BoundRule(
        init=functools.partial(_first_state, rule, optimizers, regularizers.weights, averaging),
        step=_averaged(step, dynamics, averaging),
        batches_per_step=num_batches,
        dynamics=dynamics,
    )


def _measured(step: Step, dynamics: Dynamics, num_batches: int) -> Step:
    """Returns the step with the diagnostics of the state that it begins with among its metrics."""
    if not dynamics.diagnostics:
        return step

    def measured(state: GameState, batch: Any, key: jax.Array):
        new, metrics = step(state, batch, key)
        return new, {**metrics, **dynamics.measure(state, split(batch, num_batches)[0], key)}

    return measured


def _averaged(step: Step, dynamics: Dynamics, averaging: Averaging) -> Step:
    """Returns the step that advances the averages of the parameters that are evaluated, too."""
    if not averaging.kinds:
        return step

    def averaged(state: GameState, batch: Any, key: jax.Array):
        new, metrics = step(state, batch, key)
        params = evaluated(dynamics.optimizers, new).params
        return new._replace(averages=averages.advance(averaging, state.averages, params)), metrics

    return averaged


def _first_state(
    rule: UpdateRule,
    optimizers: Mapping[str, Optimizer],
    weights: Weights,
    averaging: Averaging,
    params: Params,
    net_state: Any,
) -> GameState:
    """Returns the state before the first step, the numbers of the regularisers as arrays."""
    params = {x: optimizers[x].project(params[x]) for x in params}
    return GameState(
        params=params,
        net_state=net_state,
        opt_state={x: optimizers[x].init(params[x]) for x in params},
        memory=rule.memory(params),
        weights=jax.tree.map(lambda w: jnp.asarray(w, float), weights),
        averages=averages.first(averaging, params),
    )
