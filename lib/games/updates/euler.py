"""Plain gradient steps: all players at once, or in turn."""

from collections.abc import Mapping
from typing import Any

import jax

from lib.games import drift
from lib.games.drift import Clock, Coefficients
from lib.games.updates.dynamics import Dynamics, Step, split
from lib.games.updates.rule import Options, UpdateRule
from lib.games.updates.state import GameState


class Simultaneous(UpdateRule):
    """All players move at once, each along its own gradient at the same point.

    theta_x <- theta_x - h_x v_x(theta),  for all x
    """

    has_drift_theory = True

    def build(self, dynamics: Dynamics, options: Options) -> Step:
        """Builds the step; it reads no options."""
        del options

        def step(state: GameState, batch: Any, key: jax.Array):
            evaluation = dynamics.evaluate_all(state, dynamics.coefficients(state), batch, key)
            return dynamics.apply(state, evaluation)

        return step


class Alternating(UpdateRule):
    """Players move in turn, in `options.order`, player x options.num_updates[x] times before the next."""

    in_turn = True
    has_drift_theory = True

    def build(self, dynamics: Dynamics, options: Options) -> Step:
        """Builds the step.

        Its batch holds max(num_updates) batches, concatenated: the j-th update of a player's turn sees the
        j-th of them; if `options.separate`, it holds one for each update of the step. Each update draws its
        own latents. net_state advances with every update. Coefficients follow the learning rates at the
        step's beginning.
        """
        num_batches = self.batches_per_step(options)

        def step(state: GameState, batch: Any, key: jax.Array):
            coefficients = dynamics.coefficients(state)
            batches = split(batch, num_batches)
            metrics, update = {}, 0
            for x in options.order:
                for j in range(options.num_updates[x]):
                    key_update = jax.random.fold_in(key, update)
                    batch = batches[update if options.separate else j]
                    evaluation = dynamics.evaluate(state, coefficients, batch, key_update, [x])
                    state, new = dynamics.apply(state, evaluation)
                    metrics |= {k: v for k, v in new.items() if k not in metrics or k.startswith(f"{x}_")}
                    update += 1
            return state, metrics

        return step

    def batches_per_step(self, options: Options) -> int:
        """Returns the number of updates of the longest turn or, if players are separate, of all turns."""
        return (sum if options.separate else max)(options.num_updates.values())

    def drift(
        self, learning_rates: Mapping[str, jax.Array], options: Options, clock: Clock
    ) -> dict[str, Coefficients]:
        """Returns {player: drift coefficients} at {player: learning rate of one update}."""
        in_order = {x: learning_rates[x] for x in options.order}
        return drift.alternating(in_order, options.num_updates, clock)
