"""Wide residual networks: WRN-depth-width.

Zagoruyko, Komodakis, 'Wide Residual Networks', BMVC 2016.
"""

import flax.linen as nn
import jax
import pydantic
from pydantic import PositiveInt

from lib.nets import blocks
from lib.nets.options import NetOptions, Rate, check_depth


class WideResNetOptions(NetOptions):
    """Options of `WideResNet`, which says what they mean."""

    depth: PositiveInt = 40
    width: PositiveInt = 4
    dropout: Rate = 0.0

    @pydantic.model_validator(mode="after")
    def _has_whole_blocks(self):
        check_depth(self.depth, 6)
        return self


class WideBlock(nn.Module):
    """x + conv(dropout(relu(norm(conv(a))))) with a = relu(norm(x)).

    Where shapes differ, conv1x1(a) is in place of x: [b, h, w, c] to [b, h / stride, w / stride, features].
    """

    features: int
    stride: int
    dropout: float

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        a = blocks.norm_relu(x, train)
        if self.stride > 1 or x.shape[-1] != self.features:
            x = blocks.conv(self.features, 1, self.stride)(a)
        y = blocks.norm_relu(blocks.conv(self.features, 3, self.stride)(a), train)
        y = nn.Dropout(self.dropout, deterministic=not train)(y)
        return x + blocks.conv(self.features)(y)


class WideResNet(nn.Module):
    """[b, h, w, c] to (logits [b, classes], features [b, 64 width]: the mean of the last activations).

    Attributes:
      num_classes: of the logits.
      depth: 6 n + 4, for n blocks in each of three stages.
      width: multiplies the channels 16, 32, 64 of the stages.
      dropout: rate, inside the blocks.
    """

    num_classes: int
    depth: int
    width: int
    dropout: float

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        x = blocks.conv(16)(image)
        for stage, channels in enumerate((16, 32, 64)):
            for i in range((self.depth - 4) // 6):
                stride = 2 if stage and not i else 1
                x = WideBlock(channels * self.width, stride, self.dropout)(x, train)
        features = blocks.mean_pool(blocks.norm_relu(x, train))
        return nn.Dense(self.num_classes)(features), features
