"""A small DCGAN pair for 8x8 grey digits."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lib.nets.conv import Conv, ConvTranspose


class Generator(nn.Module):
    """[b, latents] to [b, 8, 8, 1] in [-1, 1]."""

    @nn.compact
    def __call__(self, latents: jax.Array, train: bool) -> jax.Array:
        del train
        x = nn.relu(nn.Dense(2 * 2 * 64)(latents)).reshape(-1, 2, 2, 64)
        x = nn.relu(ConvTranspose(32, kernel=4, stride=2)(x))
        return jnp.tanh(ConvTranspose(1, kernel=4, stride=2)(x))


class Discriminator(nn.Module):
    """[b, 8, 8, 1] to logits [b]."""

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        x = nn.leaky_relu(Conv(32, kernel=4, stride=2)(image), 0.1)
        x = nn.leaky_relu(Conv(64, kernel=4, stride=2)(x), 0.1)
        return nn.Dense(1)(x.reshape(x.shape[0], -1))[:, 0]
