"""Small dense networks for points. tanh by default, so that second derivatives exist everywhere."""

from typing import Literal

import flax.linen as nn
import jax
from pydantic import PositiveInt

from lib.nets.mlp import ACTIVATIONS
from lib.nets.options import NetOptions


class PairOptions(NetOptions):
    """Options of both networks: the number of their hidden layers, the units of each, what follows them."""

    num_layers: PositiveInt = 2
    num_units: PositiveInt = 25
    activation: Literal[tuple(ACTIVATIONS)] = "tanh"


class _Hidden(nn.Module):
    """[b, n] to [b, num_units]."""

    num_layers: int
    num_units: int
    activation: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(self.num_layers):
            x = ACTIVATIONS[self.activation](nn.Dense(self.num_units)(x))
        return x


class Generator(nn.Module):
    """[b, latents] to points [b, 2]. Hidden layers as the attributes say."""

    num_layers: int
    num_units: int
    activation: str

    @nn.compact
    def __call__(self, latents: jax.Array, train: bool) -> jax.Array:
        del train
        return nn.Dense(2)(_Hidden(self.num_layers, self.num_units, self.activation)(latents))


class Discriminator(nn.Module):
    """[b, 2] to logits [b]. Hidden layers as the attributes say."""

    num_layers: int
    num_units: int
    activation: str

    @nn.compact
    def __call__(self, points: jax.Array) -> jax.Array:
        return nn.Dense(1)(_Hidden(self.num_layers, self.num_units, self.activation)(points))[:, 0]


def pair(num_layers: int, num_units: int, activation: str) -> tuple[Generator, Discriminator]:
    """Returns a pair for points [2]; see `PairOptions`."""
    return Generator(num_layers, num_units, activation), Discriminator(num_layers, num_units, activation)
