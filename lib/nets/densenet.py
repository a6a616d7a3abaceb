"""Densely connected networks: DenseNet-BC-depth-growth, or without bottlenecks DenseNet-C.

Huang, Liu, van der Maaten, Weinberger, 'Densely Connected Convolutional Networks', CVPR 2017.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pydantic
from pydantic import PositiveInt

from lib.nets import blocks
from lib.nets.options import NetOptions, check_depth


class DenseNetOptions(NetOptions):
    """Options of `DenseNet`, which says what they mean."""

    depth: PositiveInt = 40
    growth: PositiveInt = 40
    bottleneck: bool = True

    @property
    def halvings(self) -> int:
        return 2

    @pydantic.model_validator(mode="after")
    def _has_whole_layers(self):
        check_depth(self.depth, 6 if self.bottleneck else 3)
        return self


class DenseLayer(nn.Module):
    """[x, conv3x3(relu(norm(z)))] with z = conv1x1(relu(norm(x))), or z = x without the bottleneck.

    z has 4 growth channels: [b, h, w, c] to [b, h, w, c + growth].
    """

    growth: int
    bottleneck: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        z = x
        if self.bottleneck:
            z = blocks.conv(4 * self.growth, 1)(blocks.norm_relu(z, train))
        return jnp.concatenate([x, blocks.conv(self.growth)(blocks.norm_relu(z, train))], -1)


class DenseNet(nn.Module):
    """[b, h, w, c] to (logits [b, classes], features: the last activations' mean over pixels).

    Between its three blocks, a 1x1 convolution halves the channels and 2x2 mean pooling the image.

    Attributes:
      num_classes: of the logits.
      depth: 3 n + 4 for n layers in each block, or 6 n + 4 with bottlenecks, as each layer then is two.
      growth: channels that a layer adds.
      bottleneck: whether layers have one.
    """

    num_classes: int
    depth: int
    growth: int
    bottleneck: bool

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        num_layers = (self.depth - 4) // (6 if self.bottleneck else 3)
        x = blocks.conv(2 * self.growth)(image)
        for block in range(3):
            if block:
                x = blocks.conv(x.shape[-1] // 2, 1)(blocks.norm_relu(x, train))
                x = nn.avg_pool(x, (2, 2), (2, 2))
            for _ in range(num_layers):
                x = DenseLayer(self.growth, self.bottleneck)(x, train)
        features = blocks.mean_pool(blocks.norm_relu(x, train))
        return nn.Dense(self.num_classes)(features), features
