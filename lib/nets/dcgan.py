"""Convolutional generators and discriminators, and the pairs of them that the GANs of images have.

Radford, Metz, Chintala, 'Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks', ICLR 2016. The pairs for MNIST and CIFAR-10 are those of Rosca, Wu, Dherin, Barrett,
'Discretization Drift in Two-Player Games', ICML 2021.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from pydantic import PositiveInt

from lib.nets.blocks import batch_norm
from lib.nets.conv import Conv, ConvTranspose
from lib.nets.options import NetOptions


class Generator(nn.Module):
    """[b, latents] to images [b, h, w, channels] in [-1, 1].

    A dense layer makes a small image, and each layer after it one of twice the side.

    Attributes:
      sides: height and width of the small image, in pixels.
      widths: channels of the small image, and of each hidden layer after it.
      kernel: width of the transposed convolutions, which have stride 2.
      channels: of the images.
      is_batch_normalised: whether hidden layers have batch statistics, over all devices.
      momentum: share of the old running statistics in the new ones, which samples are evaluated with.
      is_first_linear: whether the small image goes on as it is, without batch statistics and ReLU.
      last_kernel: width of a last convolution of stride 1; None: it is one more transposed convolution.
    """

    sides: tuple[int, int]
    widths: tuple[int, ...]
    kernel: int
    channels: int
    is_batch_normalised: bool = False
    momentum: float = 0.999
    is_first_linear: bool = False
    last_kernel: int | None = None

    @nn.compact
    def __call__(self, latents: jax.Array, train: bool) -> jax.Array:
        (h, w), (width, *widths) = self.sides, self.widths
        x = nn.Dense(h * w * width)(latents).reshape(-1, h, w, width)
        x = x if self.is_first_linear else self._activation(x, train)
        for width in widths:
            x = self._activation(ConvTranspose(width, self.kernel, stride=2)(x), train)
        if self.last_kernel:
            return jnp.tanh(Conv(self.channels, kernel=self.last_kernel)(x))
        return jnp.tanh(ConvTranspose(self.channels, self.kernel, stride=2)(x))

    def _activation(self, x: jax.Array, train: bool) -> jax.Array:
        return nn.relu(batch_norm(train, self.momentum)(x) if self.is_batch_normalised else x)


class Discriminator(nn.Module):
    """Images [b, h, w, c] to logits [b].

    Attributes:
      layers: (channels, width of the kernel, stride) of each convolution.
      slope: of the leaky ReLU after each, for negative values.
      is_layer_normalised: whether all but the first are normalised, each image's activations by themselves.
    """

    layers: tuple[tuple[int, int, int], ...]
    slope: float
    is_layer_normalised: bool = False

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        x = image
        for i, (channels, kernel, stride) in enumerate(self.layers):
            x = Conv(channels, kernel, stride)(x)
            if i and self.is_layer_normalised:
                x = nn.LayerNorm(reduction_axes=(1, 2, 3), feature_axes=3)(x)
            x = nn.leaky_relu(x, self.slope)
        return nn.Dense(1)(x.reshape(x.shape[0], -1))[:, 0]


class DcganOptions(NetOptions):
    """Options of the pair for images of any size.

    Attributes:
      width: channels of the narrowest hidden layer of each network.
      kernel: width of the convolutions.
      layer_norm: whether the discriminator's activations are normalised, each image's by themselves.
    """

    width: PositiveInt = 32
    kernel: PositiveInt = 5
    layer_norm: bool = False


def dcgan(
    image_shape: tuple[int, int, int], width: int, kernel: int, layer_norm: bool
) -> tuple[Generator, Discriminator]:
    """Returns a pair for images [h, w, c] whose sides divide by 4; the generator has batch statistics."""
    h, w, channels = image_shape
    generator = Generator(
        (h // 4, w // 4), (2 * width, width), kernel, channels, is_batch_normalised=True, momentum=0.99
    )
    layers = tuple((factor * width, kernel, 2) for factor in (1, 2, 4))
    return generator, Discriminator(layers, 0.2, layer_norm)


def digits() -> tuple[Generator, Discriminator]:
    """Returns a small pair for images [8, 8, 1]."""
    return Generator((2, 2), (64, 32), kernel=4, channels=1), Discriminator(((32, 4, 2), (64, 4, 2)), 0.1)


def mnist() -> tuple[Generator, Discriminator]:
    """Returns the pair of Rosca et al. for images [28, 28, 1]."""
    layers = ((8, 5, 2), (16, 5, 1), (32, 5, 2), (64, 5, 1), (128, 5, 2))
    return Generator((7, 7), (64, 32), kernel=5, channels=1), Discriminator(layers, 0.2)


class CifarOptions(NetOptions):
    """Options of the pair for CIFAR-10.

    Attributes:
      width: channels of the narrowest hidden layer of each network; 64 are the published ones.
    """

    width: PositiveInt = 64


def cifar10(width: int) -> tuple[Generator, Discriminator]:
    """Returns the pair of Rosca et al. for images [32, 32, 3]."""
    widths = tuple(factor * width for factor in (8, 4, 2, 1))
    generator = Generator(
        (4, 4), widths, kernel=4, channels=3, is_batch_normalised=True, is_first_linear=True, last_kernel=3
    )
    shapes = ((1, 3, 1), (1, 4, 2), (2, 3, 1), (2, 4, 2), (4, 3, 1), (4, 4, 2), (8, 3, 1))
    layers = tuple((factor * width, *shape) for factor, *shape in shapes)
    return generator, Discriminator(layers, 0.1)
