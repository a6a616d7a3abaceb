"""Dynamics that only local Nash equilibria attract.

Mazumdar, Jordan, Sastry, 'On Finding Local Nash Equilibria (and Only Local Nash Equilibria) in Zero-Sum
Games', 2019.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from pydantic import NonNegativeFloat, PositiveInt

from lib.config import Section
from lib.games.updates.dynamics import Dynamics, Step
from lib.games.updates.rule import Options, UpdateRule
from lib.games.updates.state import GameState
from lib.games.updates.systems import solve
from lib.runtime.devices import pmean


class SurgeryArguments(Section):
    """Arguments of `LocalSymplecticSurgery`.

    Attributes:
      regularization: xi_1, of the linear system where the gradient is large.
      damping: xi_2, of the second term where it is large.
      products: the most products with J^T J in a step.
    """

    regularization: NonNegativeFloat = 1e-4
    damping: NonNegativeFloat = 1e-4
    products: PositiveInt = 50


class LocalSymplecticSurgery(UpdateRule):
    """The Jacobian J of the joint gradient v becomes symmetric near a point where v = 0.

    theta <- theta - h (v + exp(-xi_2 ||w||^2) w)
    w = J^T (J^T J + lambda I)^-1 J^T v,    lambda = xi_1 (1 - exp(-||v||^2))

    There w is J^T (theta - theta*), so that the step follows (J + J^T) (theta - theta*). For small games:
    the system is solved by conjugate gradients.
    """

    arguments = SurgeryArguments

    def build(self, dynamics: Dynamics, options: Options) -> Step:
        """Builds the step."""
        chosen = options.arguments

        def step(state: GameState, batch: Any, key: jax.Array):
            coefficients = dynamics.coefficients(state)
            evaluation = dynamics.evaluate_all(state, coefficients, batch, key)

            def field(params):
                at = state._replace(params=params)
                return dict(dynamics.evaluate_all(at, coefficients, batch, key).grads)

            v, forward = jax.linearize(field, dict(state.params))
            backward = jax.linear_transpose(forward, dict(state.params))

            def transposed(u):
                return pmean(backward(u)[0])  # of this device's examples alone until then

            size = -chosen.regularization * jnp.expm1(-_squared_norm(v))

            def system(u):
                return jax.tree.map(lambda a, b: a + size * b, transposed(forward(u)), u)

            w = transposed(solve(system, transposed(v), chosen.products, definite=True))
            weight = jnp.exp(-chosen.damping * _squared_norm(w))
            grads = jax.tree.map(lambda a, b: a + weight * b, v, w)
            return dynamics.apply(state, evaluation._replace(grads=grads))

        return step


def _squared_norm(tree: Any) -> jax.Array:
    return optax.tree.norm(tree, squared=True)
