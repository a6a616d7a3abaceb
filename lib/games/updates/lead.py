"""Steps against the rotation: a force that depends on how the other players have just moved.

Askari Hemmat, Mitra, Lajoie, Mitliagkas, 'LEAD: Min-Max Optimization from a Physical Perspective', TMLR
2023.
"""

from typing import Any

import jax
import jax.numpy as jnp
from pydantic import NonNegativeFloat

from lib.config import Section
from lib.games.game import Params
from lib.games.updates.dynamics import Dynamics, Step
from lib.games.updates.rule import SGD, Options, UpdateRule
from lib.games.updates.state import GameState


class LeadArguments(Section):
    """Arguments of `Lead`: `alpha`, the weight of the force."""

    alpha: NonNegativeFloat = 0.3


class Lead(UpdateRule):
    """All players move at once, each also along the change of its gradient by the others' last moves.

    theta_x <- theta_x - h_x v_x - alpha sum_{y != x} (d v_x / d theta_y) (theta_y - last theta_y)

    The paper's momentum is that of the optimisers, `sgd` with `momentum`.
    """

    arguments = LeadArguments
    made_for = SGD

    def build(self, dynamics: Dynamics, options: Options) -> Step:
        """Builds the step."""
        alpha = options.arguments.alpha

        def step(state: GameState, batch: Any, key: jax.Array):
            coefficients, rates = dynamics.coefficients(state), dynamics.rates(state)
            evaluation = dynamics.evaluate_all(state, coefficients, batch, key)
            force = dynamics.interactions(state, coefficients, batch, key)(state.memory)
            # A player whose rate is 0, as at the beginning of a warm-up, does not move.
            weights = {x: jnp.where(h == 0, 0, alpha / jnp.where(h == 0, 1, h)) for x, h in rates.items()}
            grads = {
                x: jax.tree.map(lambda v, f, w=weights[x]: v + w * f, g, force[x])
                for x, g in evaluation.grads.items()
            }
            new, metrics = dynamics.apply(state, evaluation._replace(grads=grads))
            return new._replace(memory=jax.tree.map(jnp.subtract, new.params, state.params)), metrics

        return step

    def memory(self, params: Params) -> Any:
        """Returns the last moves, zero before the first step."""
        return jax.tree.map(jnp.zeros_like, dict(params))
