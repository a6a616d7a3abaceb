"""Players that expect the others to move as well.

Schaefer, Anandkumar, 'Competitive Gradient Descent', NeurIPS 2019.
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


class CompetitiveArguments(Section):
    """Arguments of `Competitive`: the most products with the game's Jacobian in a step."""

    products: PositiveInt = 20


class Competitive(UpdateRule):
    """The step is the Nash equilibrium of the game's bilinear approximation, with a cost of every step.

    theta_x <- theta_x - h_x w_x,    w_x + sum_{y != x} h_y (d v_x / d theta_y) w_y = v_x

    The linear system is solved by GMRES, since games need not be zero-sum: then it is not symmetric in any
    form. On the bilinear game it is the implicit Euler step.
    """

    arguments = CompetitiveArguments
    made_for = PLAIN_SGD

    def build(self, dynamics: Dynamics, options: Options) -> Step:
        """Builds the step."""
        most = options.arguments.products

        def step(state: GameState, batch: Any, key: jax.Array):
            coefficients, rates = dynamics.coefficients(state), dynamics.rates(state)
            evaluation = dynamics.evaluate_all(state, coefficients, batch, key)
            interact = dynamics.interactions(state, coefficients, batch, key)

            def system(w):
                moved = {x: jax.tree.map(lambda a, h=rates[x]: h * a, w[x]) for x in w}
                return jax.tree.map(jnp.add, w, interact(moved))

            w = solve(system, dict(evaluation.grads), most)
            return dynamics.apply(state, evaluation._replace(grads=w))

        return step
