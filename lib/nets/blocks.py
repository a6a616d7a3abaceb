"""Parts of deep networks: convolutions with He's weights, and batch normalisation.

He, Zhang, Ren, Sun, 'Delving Deep into Rectifiers', ICCV 2015: W ~ N(0, 2 / fan), so that ReLUs keep the
scale of gradients (fan out, as here for convolutions) or of activations (fan in, as for dense layers).
"""

import flax.linen as nn
import jax

from lib.nets.conv import Conv
from lib.runtime.devices import bound_axis

_HE_FAN_OUT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
_HE_FAN_IN = nn.initializers.variance_scaling(2.0, "fan_in", "normal")


def conv(
    features: int, kernel: int = 3, stride: int = 1, use_bias: bool = False, symmetric: bool = False
) -> Conv:
    """Returns a convolution; without a bias, because batch normalisation has its own."""
    return Conv(features, kernel, stride, use_bias, _HE_FAN_OUT, symmetric)


def dense(features: int) -> nn.Dense:
    """Returns a dense layer to stand before a ReLU."""
    return nn.Dense(features, kernel_init=_HE_FAN_IN)


def batch_norm(train: bool, momentum: float = 0.9) -> nn.BatchNorm:
    """Returns batch normalisation: by statistics over all devices in training, by running ones elsewhere.

    `momentum` is the share of the old running statistics in the new ones.
    """
    return nn.BatchNorm(use_running_average=not train, momentum=momentum, axis_name=bound_axis())


def norm_relu(x: jax.Array, train: bool) -> jax.Array:
    """Returns relu(batch_norm(x)), [b, h, w, c]."""
    return nn.relu(batch_norm(train)(x))


def mean_pool(x: jax.Array) -> jax.Array:
    """Returns the mean over all pixels: [b, h, w, c] to [b, c]."""
    return x.mean((1, 2))
