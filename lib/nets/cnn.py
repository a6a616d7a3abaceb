"""A small convolutional classifier."""

from collections.abc import Sequence

import flax.linen as nn
import jax

from lib.nets.conv import Conv


class CNN(nn.Module):
    """[b, h, w, c] to (logits [b, classes], features [b, hidden]).

    Attributes:
      channels: of each 3x3 convolution; 2x2 max pooling follows each.
      hidden: width of the dense layer whose activations are the features.
      num_classes: of the logits.
      dropout: rate, before the dense layer and before the logits.
    """

    channels: Sequence[int]
    hidden: int
    num_classes: int
    dropout: float = 0.0

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        x = image
        for features in self.channels:
            x = nn.max_pool(nn.relu(Conv(features, kernel=3)(x)), (2, 2), (2, 2))
        x = nn.Dropout(self.dropout, deterministic=not train)(x.reshape(x.shape[0], -1))
        features = nn.relu(nn.Dense(self.hidden)(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(features)
        return nn.Dense(self.num_classes)(x), features
