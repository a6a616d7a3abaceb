"""Small dense networks for points. tanh, so that second derivatives exist everywhere."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from pydantic import PositiveInt

from lib.nets.options import NetOptions


class PairOptions(NetOptions):
    """Options of both networks: the number of their hidden layers, and the units of each."""

    num_layers: PositiveInt = 2
    num_units: PositiveInt = 25


class _Hidden(nn.Module):
    """[b, n] to [b, num_units]."""

    num_layers: int
    num_units: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(self.num_layers):
            x = jnp.tanh(nn.Dense(self.num_units)(x))
        return x


class Generator(nn.Module):
    """[b, latents] to points [b, 2]. Hidden layers as the attributes say."""

    num_layers: int
    num_units: int

    @nn.compact
    def __call__(self, latents: jax.Array, train: bool) -> jax.Array:
        del train
        return nn.Dense(2)(_Hidden(self.num_layers, self.num_units)(latents))


class Discriminator(nn.Module):
    """[b, 2] to logits [b]. Hidden layers as the attributes say."""

    num_layers: int
    num_units: int

    @nn.compact
    def __call__(self, points: jax.Array) -> jax.Array:
        return nn.Dense(1)(_Hidden(self.num_layers, self.num_units)(points))[:, 0]


def pair(num_layers: int, num_units: int) -> tuple[Generator, Discriminator]:
    """Returns a pair for points [2]; see `PairOptions`."""
    return Generator(num_layers, num_units), Discriminator(num_layers, num_units)
