"""Dense classifiers; without hidden layers, logistic regression."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from lib.nets import blocks

# {name: (activation, the dense layer before it)}
ACTIVATIONS = {"relu": (nn.relu, blocks.dense), "tanh": (jnp.tanh, nn.Dense)}


class MLP(nn.Module):
    """[b, h, w, c] to (logits [b, classes], features: the last hidden layer, or the pixels if there is none).

    Attributes:
      num_classes: of the logits.
      hidden: widths of the hidden layers.
      activation: a name in ACTIVATIONS; tanh has all derivatives.
    """

    num_classes: int
    hidden: Sequence[int] = (1000, 1000)
    activation: str = "relu"

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        del train
        activation, layer = ACTIVATIONS[self.activation]
        x = image.reshape(len(image), -1)
        for width in self.hidden:
            x = activation(layer(width)(x))
        return nn.Dense(self.num_classes)(x), x
