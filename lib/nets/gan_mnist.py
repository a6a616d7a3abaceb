"""The MNIST networks of Rosca et al. 2021."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lib.nets.conv import Conv, ConvTranspose


class Generator(nn.Module):
    """[b, latents] to [b, 28, 28, 1] in [-1, 1]."""

    @nn.compact
    def __call__(self, latents: jax.Array, train: bool) -> jax.Array:
        del train
        x = nn.relu(nn.Dense(7 * 7 * 64)(latents)).reshape(-1, 7, 7, 64)
        x = nn.relu(ConvTranspose(32, kernel=5, stride=2)(x))
        return jnp.tanh(ConvTranspose(1, kernel=5, stride=2)(x))


class Discriminator(nn.Module):
    """[b, 28, 28, 1] to logits [b]."""

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        x = image
        for features, stride in ((8, 2), (16, 1), (32, 2), (64, 1), (128, 2)):
            x = nn.leaky_relu(Conv(features, 5, stride)(x), 0.2)
        return nn.Dense(1)(x.reshape(x.shape[0], -1))[:, 0]
