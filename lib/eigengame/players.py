"""Players, one vector each, shared out over devices: who owns which, and who is whose parent.

Einsum legend: d features, k players (j), l = k / n players of one of n devices (i).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lib.errors import ConfigError
from lib.runtime.devices import bound_axis


class Players(NamedTuple):
    """The vectors of all players, and which of them are a device's own.

    Attributes:
      everybody: [k, d], of all players, v_j.
      numbers: [l], the numbers i of this device's players.
    """

    everybody: jax.Array
    numbers: jax.Array

    @classmethod
    def gathered(cls, own: jax.Array) -> "Players":
        """Returns all players, from each device's own vectors [l, d]."""
        numbers = jnp.arange(len(own))
        if axis := split_axis():
            numbers += jax.lax.axis_index(axis) * len(own)
        return cls(all_players(own), numbers)

    @property
    def own(self) -> jax.Array:
        """Returns the vectors of this device's players, v_i, [l, d]."""
        return self.everybody[self.numbers]

    @property
    def parents(self) -> jax.Array:
        """Returns 1 where j < i, else 0, [l, k]."""
        return (jnp.arange(len(self.everybody))[None] < self.numbers[:, None]).astype(self.everybody.dtype)

    @property
    def selves(self) -> jax.Array:
        """Returns 1 where j = i, else 0, [l, k]."""
        return (jnp.arange(len(self.everybody))[None] == self.numbers[:, None]).astype(self.everybody.dtype)


def split_axis() -> str | None:
    """Returns the name of the device axis that players are split over; None on one device.

    One device needs no collectives, whose copies of a batch and of the vectors cost a fifth of a step.
    """
    axis = bound_axis()
    return None if axis is None or jax.lax.axis_size(axis) == 1 else axis


def all_players(own: jax.Array) -> jax.Array:
    """Gathers the [l, ...] of every device to [k, ...] on all of them."""
    axis = split_axis()
    return own if axis is None else jax.lax.all_gather(own, axis, tiled=True)


def own_players(everybody: jax.Array, size: int) -> jax.Array:
    """Returns this device's `size` rows of [k, ...]."""
    axis = split_axis()
    if axis is None:
        return everybody
    return jax.lax.dynamic_slice_in_dim(everybody, jax.lax.axis_index(axis) * size, size)


def check_divides(k: int, most: int, num_devices: int) -> None:
    """Checks that k players can be split evenly over the devices.

    Args:
      k: players, at most `most`.
      most: as many as the data allow.
      num_devices: n.

    Raises:
      ConfigError: of the field `k`; it names the nearest number that fits.
    """
    if num_devices > most:
        raise ConfigError(
            f"at most {most} vectors cannot be split over {num_devices} devices; use fewer devices", "k"
        )
    if k % num_devices:
        below = k - k % num_devices
        choices = [n for n in (below, below + num_devices) if 0 < n <= most]
        best = min(choices, key=lambda n: abs(n - k))
        raise ConfigError(f"{k} vectors do not divide by the {num_devices} devices; use {best}", "k")
