"""Updates along the gradient at a point ahead.

Korpelevich, 'The extragradient method for finding saddle points and other problems', 1976; Popov, 'A
modification of the Arrow-Hurwicz method for search of saddle points', 1980; both for GANs in Gidel et al.,
'A Variational Inequality Perspective on Generative Adversarial Networks', ICLR 2019.
"""

from typing import Any

import jax

from lib.games.updates.dynamics import Dynamics, Step, ahead, split
from lib.games.updates.state import GameState


def extragradient(dynamics: Dynamics, fresh: bool) -> Step:
    """All players look one step of their optimisers ahead, and move along the gradient there.

    theta' = theta - h v(theta),    theta <- theta - h v(theta')

    with plain SGD; with others, for instance Adam, the look ahead is their step, and leaves their state alone.
    Both gradients see one batch and the same latents, or, if `fresh`, those of their own: `batch` then holds
    two batches. Both read the net_state that the step began with; the first one, at theta, advances it.
    """

    def step(state: GameState, batch: Any, key: jax.Array):
        coefficients = dynamics.coefficients(state)
        batches = split(batch, 2) if fresh else [batch] * 2
        keys = [jax.random.fold_in(key, i) if fresh else key for i in range(2)]
        here = dynamics.look(state, coefficients, batches[0], keys[0])
        moved, _ = dynamics.move(state, here)
        there = state._replace(params=moved.params)
        look = dynamics.look(there, coefficients, batches[1], keys[1])
        return dynamics.move(state, here._replace(grads=look.grads))

    return step


def optimistic(dynamics: Dynamics) -> Step:
    """Past extragradient: the look ahead is along the last step's gradient, so a step computes one.

    theta'_t = theta_t - h v(theta'_{t-1}),    theta_{t+1} = theta_t - h v(theta'_t)

    The state's memory is v(theta'_{t-1}), zero before the first step. net_state is read and advanced, and
    losses are measured, at theta'.
    """

    def step(state: GameState, batch: Any, key: jax.Array):
        there = state._replace(params=ahead(state.params, dynamics.rates(state), state.memory))
        look = dynamics.look(there, dynamics.coefficients(state), batch, key)
        return dynamics.move(state._replace(memory=look.grads), look)

    return step
