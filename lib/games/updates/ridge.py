"""A follower that stays on its ridge while the leader moves.

Wang, Zhang, Ba, 'On Solving Minimax Optimization Locally: A Follow-the-Ridge Approach', ICLR 2020.
"""

from typing import Any

import jax
import jax.numpy as jnp
from pydantic import PositiveInt

from lib.config import Section
from lib.games.updates.dynamics import Dynamics, Step
from lib.games.updates.rule import PLAIN_SGD, Options, UpdateRule
from lib.games.updates.state import GameState
from lib.games.updates.systems import solve


class RidgeArguments(Section):
    """Arguments of `FollowTheRidge`: the most products with the follower's Hessian in a step."""

    products: PositiveInt = 20


class FollowTheRidge(UpdateRule):
    """The follower y also moves as its best answer does when the leader x makes its step.

    theta_x <- theta_x - h_x v_x
    theta_y <- theta_y - h_y v_y + h_x H_yy^-1 (d v_y / d theta_x) v_x,    H_yy = d v_y / d theta_y

    Of two players, the first one in the order leads. It is for small games
    whose H_yy is regular: where it is 0, as on the bilinear game, there is no ridge, and steps are plain.
    """

    arguments = RidgeArguments
    has_leader = True
    made_for = PLAIN_SGD

    def build(self, dynamics: Dynamics, options: Options) -> Step:
        """Builds the step."""
        leader, *followers = options.order
        most = options.arguments.products

        def step(state: GameState, batch: Any, key: jax.Array):
            coefficients, rates = dynamics.coefficients(state), dynamics.rates(state)
            evaluation = dynamics.evaluate_all(state, coefficients, batch, key)
            jacobian = dynamics.jacobian(state, coefficients, batch, key)
            grads = dict(evaluation.grads)
            for y in followers:
                turned = jacobian[y]({leader: grads[leader]})
                answer = solve(lambda u, y=y: jacobian[y]({y: u}), turned, most)
                # A follower whose rate is 0, as at the beginning of a warm-up, does not move.
                h = rates[y]
                ratio = jnp.where(h == 0, 0.0, rates[leader] / jnp.where(h == 0, 1.0, h))
                grads[y] = jax.tree.map(lambda v, a, r=ratio: v - r * a, grads[y], answer)
            return dynamics.apply(state, evaluation._replace(grads=grads))

        return step
