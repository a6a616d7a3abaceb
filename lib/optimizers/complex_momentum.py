"""Momentum whose buffer turns: heavy ball with a complex coefficient.

Lorraine, Acuna, Vicol, Duvenaud, 'Complex Momentum for Optimization in Games', AISTATS 2022.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from lib.optimizers.checks import check
from lib.optimizers.kind import Kind
from lib.optimizers.trees import downhill


class ComplexMomentumState(NamedTuple):
    """The buffer's real and imaginary parts, like the parameters."""

    real: Any
    imaginary: Any


def complex_momentum(
    learning_rate: ArrayLike, momentum: ArrayLike = 0.9, phase: ArrayLike = 0.39269908
) -> optax.GradientTransformation:
    """Returns SGD with complex momentum beta (Algorithm 1).

    mu <- beta mu + g,    theta <- theta - learning_rate Re mu,    beta = momentum exp(i phase)

    Phase 0 is momentum, phase pi negative momentum: in between both friction and acceleration depend on the
    game's eigenvalues.

    Args:
      learning_rate: of the real part.
      momentum: |beta|.
      phase: arg beta, in radians; the default is pi / 8, as the paper's.

    Raises:
      ConfigError: plain numbers that do not fit.
    """
    check("momentum", momentum, lambda x: 0 <= x < 1, "one from 0 up to, but not, 1")
    turn = momentum * jnp.cos(phase), momentum * jnp.sin(phase)

    def init(params: Any) -> ComplexMomentumState:
        return ComplexMomentumState(optax.tree.zeros_like(params), optax.tree.zeros_like(params))

    def update(grads: Any, state: ComplexMomentumState, params: Any = None):
        del params
        c, s = turn
        real = jax.tree.map(
            lambda a, b, g: (c * a - s * b + g).astype(g.dtype), state.real, state.imaginary, grads
        )
        imaginary = jax.tree.map(lambda a, b: (s * a + c * b).astype(a.dtype), state.real, state.imaginary)
        return downhill(jnp.asarray(learning_rate), real), ComplexMomentumState(real, imaginary)

    return optax.GradientTransformation(init, update)


SGD_COMPLEX = Kind(complex_momentum)
