"""Convolutional generators and discriminators, and the pairs of them that the GANs of images have.

Radford, Metz, Chintala, 'Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks', ICLR 2016. The pairs for MNIST and CIFAR-10 are those of Rosca, Wu, Dherin, Barrett,
'Discretization Drift in Two-Player Games', ICML 2021.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from lib.nets.blocks import batch_norm
from lib.nets.conv import Conv, ConvTranspose


class Generator(nn.Module):
    """[b, latents] to images [b, h, w, channels] in [-1, 1].

    A dense layer makes a small image, and each layer after it one of twice the side.

    Attributes:
      side: of the small image, in pixels.
      widths: channels of the small image, and of each hidden layer after it.
      kernel: width of the transposed convolutions, which have stride 2.
      channels: of the images.
      is_batch_normalised: whether hidden layers have batch statistics, over all devices; the last layer is
        then a 3x3 convolution, instead of one more transposed convolution.
    """

    side: int
    widths: Sequence[int]
    kernel: int
    channels: int
    is_batch_normalised: bool = False

    @nn.compact
    def __call__(self, latents: jax.Array, train: bool) -> jax.Array:
        width, *widths = self.widths
        x = nn.Dense(self.side**2 * width)(latents).reshape(-1, self.side, self.side, width)
        x = self._activation(x, train)
        for width in widths:
            x = self._activation(ConvTranspose(width, self.kernel, stride=2)(x), train)
        if self.is_batch_normalised:
            return jnp.tanh(Conv(self.channels, kernel=3)(x))
        return jnp.tanh(ConvTranspose(self.channels, self.kernel, stride=2)(x))

    def _activation(self, x: jax.Array, train: bool) -> jax.Array:
        return nn.relu(batch_norm(train, momentum=0.999)(x) if self.is_batch_normalised else x)


class Discriminator(nn.Module):
    """Images [b, h, w, c] to logits [b].

    Attributes:
      layers: (channels, width of the kernel, stride) of each convolution.
      slope: of the leaky ReLU after each, for negative values.
    """

    layers: Sequence[tuple[int, int, int]]
    slope: float

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        x = image
        for channels, kernel, stride in self.layers:
            x = nn.leaky_relu(Conv(channels, kernel, stride)(x), self.slope)
        return nn.Dense(1)(x.reshape(x.shape[0], -1))[:, 0]


def digits() -> tuple[Generator, Discriminator]:
    """Returns a small pair for images [8, 8, 1]."""
    return Generator(2, (64, 32), kernel=4, channels=1), Discriminator(((32, 4, 2), (64, 4, 2)), 0.1)


def mnist() -> tuple[Generator, Discriminator]:
    """Returns the pair of Rosca et al. for images [28, 28, 1]."""
    layers = ((8, 5, 2), (16, 5, 1), (32, 5, 2), (64, 5, 1), (128, 5, 2))
    return Generator(7, (64, 32), kernel=5, channels=1), Discriminator(layers, 0.2)


def cifar10() -> tuple[Generator, Discriminator]:
    """Returns the pair of Rosca et al. for images [32, 32, 3]."""
    generator = Generator(4, (512, 256, 128, 64), kernel=4, channels=3, is_batch_normalised=True)
    layers = ((64, 3, 1), (64, 4, 2), (128, 3, 1), (128, 4, 2), (256, 3, 1), (256, 4, 2), (512, 3, 1))
    return generator, Discriminator(layers, 0.1)
