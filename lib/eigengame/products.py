"""What one batch says of the players' vectors: C V^T and V C V^T with C = X^T X / b, on one device or many.

Einsum legend: b rows of a batch, d features, k players, l players of one device.

C is never formed: Y = X V^T, then C V^T = X^T Y / b and V C V^T = Y^T Y / b, 4 b k d + 2 b k^2 operations. On n
devices the players and the rows are both split, in g groups of m = n / g devices, as in the parallel algorithm
of the papers:

- a group sees b / g rows, the ones of its members; each member multiplies them with k / m players;
- the g devices with the same players, one in each group, are copies: the sum over their products is the whole
  batch's, and each of them keeps the k / n players that are its own.

g = n splits the rows alone, g = 1 the players alone; any g does the same work on each device and gives the same
products. Groups differ in what they send: g = n vectors and products, [k, d]; g = 1 rows, [b, d].
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lib.errors import ConfigError
from lib.runtime.devices import bound_axis


class Products(NamedTuple):
    """A batch's products with the vectors of a device's own players.

    Attributes:
      vectors: [k, d], of all players, v_j.
      own: [l], the numbers of this device's players, i.
      reward: [l, d], C v_i.
      gram: [l, k], v_i^T C v_j.
    """

    vectors: jax.Array
    own: jax.Array
    reward: jax.Array
    gram: jax.Array


def products(vectors: jax.Array, rows: jax.Array, groups: int = 0) -> Products:
    """The products of a batch's rows with all players' vectors.

    Args:
      vectors: [l, d], this device's players.
      rows: [b, d], this device's rows of the batch, centred if they ought to be.
      groups: g, which must divide the number of devices; 0: as many as there are devices.
    """
    axis = bound_axis()
    if axis is None:
        y = rows @ vectors.T
        own = jnp.arange(len(vectors))
        return Products(vectors, own, y.T @ rows / len(rows), y.T @ y / len(rows))
    n = jax.lax.axis_size(axis)
    g = groups or n
    copies = [[first + i for i in range(g)] for first in range(0, n, g)]
    members = [list(range(i, n, g)) for i in range(g)]
    gather = lambda x, which, dim=0: jax.lax.all_gather(
        x, axis, axis_index_groups=which, axis=dim, tiled=True
    )
    keep = lambda x: jax.lax.psum_scatter(x, axis, axis_index_groups=copies, tiled=True)
    x = gather(rows, members)  # [b / g, d]
    y = x @ gather(vectors, copies).T  # [b / g, k / m]
    b = len(x) * g
    return Products(
        gather(vectors, None),
        jax.lax.axis_index(axis) * len(vectors) + jnp.arange(len(vectors)),
        keep(y.T @ x) / b,
        keep(y.T @ gather(y, members, 1)) / b,
    )


def all_players(own: jax.Array) -> jax.Array:
    """[l, ...] of every device, [k, ...] on all of them."""
    axis = bound_axis()
    return own if axis is None else jax.lax.all_gather(own, axis, tiled=True)


def own_players(everybody: jax.Array, size: int) -> jax.Array:
    """This device's `size` rows of [k, ...]."""
    axis = bound_axis()
    if axis is None:
        return everybody
    return jax.lax.dynamic_slice_in_dim(everybody, jax.lax.axis_index(axis) * size, size)


def check_divides(
    k: int, most: int, groups: int, num_devices: int, section: str = "config.eigengame"
) -> None:
    """Refuses k players or `groups` groups that do not fit the devices.

    Args:
      k: players, at most `most`.
      most: as many as the data allow.
      groups: 0 fits always.
      num_devices: n.
      section: of the config, for messages.

    Raises:
      ConfigError: it names the nearest number that fits.
    """
    if num_devices > most:
        raise ConfigError(
            f"{section}.k: at most {most} vectors cannot be split over {num_devices} devices; use fewer devices"
        )
    if k % num_devices:
        below = k - k % num_devices
        choices = [n for n in (below, below + num_devices) if 0 < n <= most]
        nearest = min(choices, key=lambda n: abs(n - k))
        raise ConfigError(
            f"{section}.k: {k} vectors do not divide by the {num_devices} devices; use {nearest}"
        )
    if groups and num_devices % groups:
        nearest = min(
            (g for g in range(1, num_devices + 1) if num_devices % g == 0), key=lambda g: abs(g - groups)
        )
        raise ConfigError(
            f"{section}.groups: {groups} does not divide the {num_devices} devices; use {nearest}"
        )
