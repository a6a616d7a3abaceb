"""Extragradient steps that are drawn back to where they began, ever less.

Yoon, Ryu, 'Accelerated Algorithms for Smooth Convex-Concave Minimax Problems with O(1/k^2) Rate on Squared
Gradient Norm', ICML 2021.
"""

from typing import Any

import jax
import jax.numpy as jnp

from lib.games.game import Params
from lib.games.updates.dynamics import Dynamics, Step
from lib.games.updates.rule import NO_POINTS, Options, UpdateRule
from lib.games.updates.state import GameState


class AnchoredExtragradient(UpdateRule):
    """EAG-C: both points of an extragradient step are drawn to the first parameters, by 1 / (k + 2).

    z_k = theta_k + (theta_0 - theta_k) / (k + 2)
    theta' = z_k - h v(theta_k),    theta_{k+1} = z_k - h v(theta')

    Both gradients see one batch. The optimisers make both steps, and their state is the second's.
    """

    stationary = False
    made_for = NO_POINTS

    def build(self, dynamics: Dynamics, options: Options) -> Step:
        """Builds the step; it reads no options."""
        del options

        def step(state: GameState, batch: Any, key: jax.Array):
            coefficients = dynamics.coefficients(state)
            anchor, k = state.memory["anchor"], state.memory["step"]
            drawn = state._replace(
                params=jax.tree.map(lambda p, a: p + (a - p) / (k + 2), state.params, anchor),
                memory={"anchor": anchor, "step": k + 1},
            )
            at_theta = dynamics.evaluate_all(state, coefficients, batch, key)
            ahead, _ = dynamics.apply(drawn, at_theta)
            there = state._replace(params=ahead.params)
            grads = dynamics.evaluate_all(there, coefficients, batch, key).grads
            return dynamics.apply(drawn, at_theta._replace(grads=grads))

        return step

    def memory(self, params: Params) -> Any:
        """Returns theta_0, and k = 0."""
        return {"anchor": dict(params), "step": jnp.zeros([], jnp.int32)}
