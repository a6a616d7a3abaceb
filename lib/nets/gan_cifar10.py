"""The CIFAR-10 networks of Rosca et al. 2021: a DCGAN generator and a spectral-norm discriminator."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from lib.nets.blocks import batch_norm
from lib.nets.conv import Conv, ConvTranspose


class Generator(nn.Module):
    """[b, latents] to [b, 32, 32, channels] in [-1, 1]. Batch statistics are over all devices.

    Attributes:
      channels: of the images.
      width: channels of the last hidden layer; the others have multiples of it.
    """

    channels: int = 3
    width: int = 64

    @nn.compact
    def __call__(self, latents: jax.Array, train: bool) -> jax.Array:
        norm = partial(batch_norm, train, momentum=0.999)
        x = nn.Dense(4 * 4 * 8 * self.width)(latents).reshape(-1, 4, 4, 8 * self.width)
        x = nn.relu(norm()(x))
        for multiple in (4, 2, 1):
            x = ConvTranspose(multiple * self.width, kernel=4, stride=2)(x)
            x = nn.relu(norm()(x))
        return jnp.tanh(Conv(self.channels, kernel=3)(x))


class Discriminator(nn.Module):
    """[b, 32, 32, c] to logits [b]."""

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        x = image
        for features, kernel, stride in (
            (64, 3, 1), (64, 4, 2), (128, 3, 1), (128, 4, 2), (256, 3, 1), (256, 4, 2), (512, 3, 1),
        ):  # fmt: skip
            x = nn.leaky_relu(Conv(features, kernel, stride)(x), 0.1)
        return nn.Dense(1)(x.reshape(x.shape[0], -1))[:, 0]
