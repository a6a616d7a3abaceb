"""A small convolutional classifier."""

from collections.abc import Sequence

import flax.linen as nn
import jax
from pydantic import PositiveInt

from lib.nets.conv import Conv
from lib.nets.options import NetOptions, Rate


class CNNOptions(NetOptions):
    """Options of `CNN`, which says what they mean."""

    channels: tuple[PositiveInt, ...] = (32, 64)
    hidden: PositiveInt = 128
    dropout: Rate = 0.25

    @property
    def halvings(self) -> int:
        return len(self.channels)


class CNN(nn.Module):
    """[b, h, w, c] to (logits [b, classes], features [b, hidden]).

    Attributes:
      num_classes: of the logits.
      channels: of each 3x3 convolution; 2x2 max pooling follows each.
      hidden: width of the dense layer whose activations are the features, the evaluator's too.
      dropout: rate, before the dense layer and before the logits.
    """

    num_classes: int
    channels: Sequence[int]
    hidden: int
    dropout: float

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        x = image
        for features in self.channels:
            x = nn.max_pool(nn.relu(Conv(features, kernel=3)(x)), (2, 2), (2, 2))
        x = nn.Dropout(self.dropout, deterministic=not train)(x.reshape(x.shape[0], -1))
        features = nn.relu(nn.Dense(self.hidden)(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(features)
        return nn.Dense(self.num_classes)(x), features
