"""Dense classifiers; without hidden layers, logistic regression.

First weights are uniform in +-1 / sqrt(fan in), as in the hypergradient paper's code, whose framework has
that default. They are smaller than He's, with which SGDN-HD diverges in the first steps at the paper's
beta.
"""

from collections.abc import Sequence
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from pydantic import PositiveInt

from lib.nets.options import NetOptions

ACTIVATIONS = {"relu": nn.relu, "tanh": jnp.tanh}
_UNIFORM = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class MLPOptions(NetOptions):
    """Options of `MLP`, which says what they mean."""

    hidden: tuple[PositiveInt, ...] = (1000, 1000)
    activation: Literal[tuple(ACTIVATIONS)] = "relu"


class MLP(nn.Module):
    """[b, h, w, c] to (logits [b, classes], features: the last hidden layer, or else the pixels).

    Attributes:
      num_classes: of the logits.
      hidden: widths of the hidden layers.
      activation: a name in ACTIVATIONS; tanh has all derivatives.
    """

    num_classes: int
    hidden: Sequence[int]
    activation: str

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        del train
        activation = ACTIVATIONS[self.activation]
        x = image.reshape(len(image), -1)
        for width in self.hidden:
            x = activation(nn.Dense(width, kernel_init=_UNIFORM)(x))
        return nn.Dense(self.num_classes, kernel_init=_UNIFORM)(x), x
