"""Updates along the gradient at an extrapolated point.

Korpelevich, 'The extragradient method for finding saddle points and other problems', 1976; Popov, 'A
modification of the Arrow-Hurwicz method for search of saddle points', 1980; both for GANs in Gidel et al.,
'A Variational Inequality Perspective on Generative Adversarial Networks', ICLR 2019.
"""

from typing import Any

import jax
import jax.numpy as jnp

from lib.games.game import Params
from lib.games.updates.dynamics import Dynamics, Step, extrapolate, split
from lib.games.updates.rule import Options, UpdateRule
from lib.games.updates.state import GameState


class Extragradient(UpdateRule):
    """All players extrapolate by one step of their optimisers, and move along the gradient there.

    theta' = theta - h v(theta),    theta <- theta - h v(theta')

    with plain SGD; with others, for instance Adam, the extrapolation is their step, and leaves their state
    alone.
    """

    stages = 2

    def build(self, dynamics: Dynamics, options: Options) -> Step:
        """Builds the step.

        Both gradients see one batch and the same latents, or, if `options.fresh`, those of their own: the
        batch then holds two batches. Both read the net_state that the step began with; the first one, at
        theta, advances it.
        """

        def step(state: GameState, batch: Any, key: jax.Array):
            coefficients = dynamics.coefficients(state)
            batches = split(batch, 2) if options.fresh else [batch] * 2
            keys = [jax.random.fold_in(key, i) if options.fresh else key for i in range(2)]
            at_theta = dynamics.evaluate_all(state, coefficients, batches[0], keys[0])
            extrapolated, _ = dynamics.apply(state, at_theta)
            ahead = state._replace(params=extrapolated.params)
            grads = dynamics.evaluate_all(ahead, coefficients, batches[1], keys[1]).grads
            return dynamics.apply(state, at_theta._replace(grads=grads))

        return step


class Optimistic(UpdateRule):
    """Past extragradient: the extrapolation is along the last step's gradient, so a step computes one.

    theta'_t = theta_t - h v(theta'_{t-1}),    theta_{t+1} = theta_t - h v(theta'_t)
    """

    plain_ahead = True

    def build(self, dynamics: Dynamics, options: Options) -> Step:
        """Builds the step; it reads no options.

        net_state is read and advanced, and losses are measured, at theta'.
        """
        del options

        def step(state: GameState, batch: Any, key: jax.Array):
            ahead = extrapolate(state.params, dynamics.rates(state), state.memory)
            evaluation = dynamics.evaluate_all(
                state._replace(params=ahead), dynamics.coefficients(state), batch, key
            )
            return dynamics.apply(state._replace(memory=evaluation.grads), evaluation)

        return step

    def memory(self, params: Params) -> Any:
        """Returns v(theta'_{t-1}), zero before the first step."""
        return jax.tree.map(jnp.zeros_like, dict(params))
