"""ResNet-18, for small images or for ImageNet's.

Small images have a 3x3 stem and no pooling before the first stage. ImageNet's have the stem of the paper,
and padding as PyTorch's, so that the network is torchvision's resnet18.

He, Zhang, Ren, Sun, 'Deep Residual Learning for Image Recognition', CVPR 2016.
"""

from collections.abc import Sequence
from typing import Literal

import flax.linen as nn
import jax

from lib.nets import blocks
from lib.nets.options import NetOptions

Stem = Literal["small", "imagenet"]


class ResNetOptions(NetOptions):
    """Options of `ResNet` with the stages of ResNet-18; it says what they mean."""

    stem: Stem = "small"

    @property
    def halvings(self) -> int:
        """Returns 5 for ImageNet's stem; the small one pads whatever is left of an image."""
        return 5 if self.stem == "imagenet" else 0


class ResidualBlock(nn.Module):
    """relu(x + norm(conv(relu(norm(conv(x)))))); where shapes differ, norm(conv1x1(x)) is in place of x.

    [b, h, w, c] to [b, h / stride, w / stride, features].

    Attributes:
      features: channels of the result.
      stride: of the first convolution.
      symmetric: whether that pads as PyTorch's networks do.
    """

    features: int
    stride: int
    symmetric: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        first = blocks.conv(self.features, 3, self.stride, symmetric=self.symmetric)
        y = blocks.norm_relu(first(x), train)
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
      stem: what comes before the stages. "small": a 3x3 convolution. "imagenet": a 7x7 convolution with
        stride 2, and 3x3 max pooling with stride 2; strided convolutions then pad as PyTorch's.
    """

    num_classes: int
    num_blocks: Sequence[int] = (2, 2, 2, 2)
    width: int = 64
    stem: Stem = "small"

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        large = self.stem == "imagenet"
        kernel, stride = (7, 2) if large else (3, 1)
        x = blocks.norm_relu(blocks.conv(self.width, kernel, stride, symmetric=large)(image), train)
        if large:
            x = nn.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))
        for stage, n in enumerate(self.num_blocks):
            for i in range(n):
                stride = 2 if stage and not i else 1
                x = ResidualBlock(self.width * 2**stage, stride, large)(x, train)
        features = blocks.mean_pool(x)
        return nn.Dense(self.num_classes)(features), features
