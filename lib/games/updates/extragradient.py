"""Updates along the gradient at an extrapolated point.

Korpelevich, 'The extragradient method for finding saddle points and other problems', 1976; Popov, 'A
modification of the Arrow-Hurwicz method for search of saddle points', 1980; both for GANs in Gidel et al.,
'A Variational Inequality Perspective on Generative Adversarial Networks', ICLR 2019.
"""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp

from lib.config import Section
from lib.games.game import Params
from lib.games.updates.dynamics import Dynamics, Step, extrapolate, split
from lib.games.updates.rule import ANY, PLAIN_SGD, Options, UpdateRule
from lib.games.updates.state import GameState


class ExtragradientArguments(Section):
    """Arguments of `Extragradient`.

    Attributes:
      advance: whether the extrapolation advances the optimisers' state as well, as that of the published
        ExtraAdam does.
    """

    advance: bool = False


class OptimisticArguments(Section):
    """Arguments of `Optimistic`.

    Attributes:
      extrapolate: plain: by a plain gradient step. optimizer: by a step of the optimiser, which advances
        its state, as that of the published past ExtraAdam does.
    """

    extrapolate: Literal["plain", "optimizer"] = "plain"


class Extragradient(UpdateRule):
    """All players extrapolate by one step of their optimisers, and move along the gradient there.

    theta' = theta - h v(theta),    theta <- theta - h v(theta')

    with plain SGD; with others, for instance Adam, the extrapolation is their step, and leaves their state
    alone unless `advance` says so.
    """

    arguments = ExtragradientArguments
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
            if options.arguments.advance:
                state = state._replace(opt_state=extrapolated.opt_state)
            return dynamics.apply(state, at_theta._replace(grads=grads))

        return step


class Optimistic(UpdateRule):
    """Past extragradient: the extrapolation is along the last step's gradient, so a step computes one.

    theta'_t = theta_t - h v(theta'_{t-1}),    theta_{t+1} = theta_t - h v(theta'_t)
    """

    arguments = OptimisticArguments
    made_for = PLAIN_SGD

    def build(self, dynamics: Dynamics, options: Options) -> Step:
        """Builds the step.

        net_state is read and advanced, and losses are measured, at theta'.
        """
        if options.arguments.extrapolate == "optimizer":
            return functools.partial(_step_by_optimizers, dynamics)

        def step(state: GameState, batch: Any, key: jax.Array):
            ahead = extrapolate(state.params, dynamics.rates(state), state.memory)
            evaluation = dynamics.evaluate_all(
                state._replace(params=ahead), dynamics.coefficients(state), batch, key
            )
            return dynamics.apply(state._replace(memory=evaluation.grads), evaluation)

        return step

    def sound_with(self, arguments: OptimisticArguments) -> str:
        """Returns plain SGD where the extrapolation is a plain gradient step."""
        return self.made_for if arguments.extrapolate == "plain" else ANY

    def memory(self, params: Params) -> Any:
        """Returns zeros: v(theta'_{t-1}), or the optimisers' last extrapolation, before the first step."""
        return jax.tree.map(jnp.zeros_like, dict(params))


def _step_by_optimizers(dynamics: Dynamics, state: GameState, batch: Any, key: jax.Array):
    """Takes a step whose extrapolation the optimisers have made after the last one, with its gradient."""
    ahead = jax.tree.map(jnp.add, dict(state.params), state.memory)
    there = state._replace(params=ahead)
    evaluation = dynamics.evaluate_all(there, dynamics.coefficients(state), batch, key)
    new, metrics = dynamics.apply(state, evaluation)
    extrapolated, _ = dynamics.apply(new, evaluation)
    move = jax.tree.map(jnp.subtract, extrapolated.params, new.params)
    return new._replace(opt_state=extrapolated.opt_state, memory=move), metrics
