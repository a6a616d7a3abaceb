"""VGG-16 for small images, with batch normalisation or without.

Simonyan, Zisserman, 'Very Deep Convolutional Networks for Large-Scale Image Recognition', ICLR 2015,
configuration D, its dense layers narrowed from 4096 to 512 as is usual for CIFAR-10.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
from pydantic import PositiveInt

from lib.nets import blocks
from lib.nets.options import NetOptions, Rate

VGG_16 = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)


class VGGOptions(NetOptions):
    """Options of `VGG` with the stages of `VGG_16`; it says what they mean."""

    hidden: tuple[PositiveInt, ...] = (512, 512)
    dropout: Rate = 0.5
    batch_norm: bool = True

    @property
    def halvings(self) -> int:
        return len(VGG_16)


class VGG(nn.Module):
    """[b, h, w, c] to (logits [b, classes], features: the last hidden dense layer).

    Attributes:
      num_classes: of the logits.
      hidden: widths of the dense layers before the logits.
      dropout: rate, before each of them.
      batch_norm: whether it follows each convolution.
      stages: channels of the 3x3 convolutions between 2x2 max poolings.
    """

    num_classes: int
    hidden: Sequence[int]
    dropout: float
    batch_norm: bool
    stages: Sequence[Sequence[int]] = VGG_16

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        x = image
        for stage in self.stages:
            for features in stage:
                x = blocks.conv(features, use_bias=True)(x)
                x = blocks.norm_relu(x, train) if self.batch_norm else nn.relu(x)
            x = nn.max_pool(x, (2, 2), (2, 2))
        x = x.reshape(len(x), -1)
        for width in self.hidden:
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
            x = nn.relu(blocks.dense(width)(x))
        return nn.Dense(self.num_classes)(x), x
