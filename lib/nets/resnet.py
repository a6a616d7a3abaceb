"""ResNet-18 for small images: a 3x3 stem and no pooling before the first stage.

He, Zhang, Ren, Sun, 'Deep Residual Learning for Image Recognition', CVPR 2016.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax

from lib.nets import blocks


class ResidualBlock(nn.Module):
    """relu(x + norm(conv(relu(norm(conv(x)))))); where shapes differ, norm(conv1x1(x)) is in place of x.

    [b, h, w, c] to [b, h / stride, w / stride, features].
    """

    features: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        y = blocks.norm_relu(blocks.conv(self.features, 3, self.stride)(x), train)
        y = blocks.batch_norm(train)(blocks.conv(self.features)(y))
        if self.stride > 1 or x.shape[-1] != self.features:
            x = blocks.batch_norm(train)(blocks.conv(self.features, 1, self.stride)(x))
        return nn.relu(x + y)


class ResNet(nn.Module):
    """[b, h, w, c] to (logits [b, classes], features: the last activations' mean over pixels).

    Attributes:
      num_classes: of the logits.
      num_blocks: how many blocks each stage has; 2, 2, 2, 2 is ResNet-18.
      width: channels of the first stage; each stage doubles them and, but for the first, halves the image.
    """

    num_classes: int
    num_blocks: Sequence[int] = (2, 2, 2, 2)
    width: int = 64

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        x = blocks.norm_relu(blocks.conv(self.width)(image), train)
        for stage, n in enumerate(self.num_blocks):
            for i in range(n):
                stride = 2 if stage and not i else 1
                x = ResidualBlock(self.width * 2**stage, stride)(x, train)
        features = blocks.mean_pool(x)
        return nn.Dense(self.num_classes)(features), features
