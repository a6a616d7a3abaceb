"""A batch's products with the players' vectors: C V^T and V C V^T with C = X^T X / b, on any devices.

Einsum legend: b rows of a batch, d features, k players, l players of one device.

C is never formed: Y = X V^T, then C V^T = X^T Y / b and V C V^T = Y^T Y / b, 4 b k d + 2 b k^2 operations.
On n devices the players and the rows are both split, in g groups of m = n / g devices, as in the parallel
algorithm of the papers:

- a group sees b / g rows, the ones of its members; each member multiplies them with k / m players;
- the g devices with the same players, one in each group, are copies: the sum over their products is the
  whole batch's, and each of them keeps the k / n players that are its own.

g = n splits the rows alone, g = 1 the players alone; any g does the same work on each device and gives the
same products. All gather the vectors, [k, d]; groups differ in what else they send: g = n products, [k, d];
g = 1 rows, [b, d].
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lib.eigengame.players import Players, split_axis
from lib.errors import ConfigError
from lib.runtime.devices import pmean


class Products(NamedTuple):
    """A batch's products with the vectors of a device's own players.

    Attributes:
      players: all, and which are this device's own.
      cv: [l, d], C v_i.
      gram: [l, k], v_i^T C v_j.
      total_variance: E||x||^2 over the rows of all devices, the trace of C.
    """

    players: Players
    cv: jax.Array
    gram: jax.Array
    total_variance: jax.Array


def products(vectors: jax.Array, rows: jax.Array, groups: int = 0, *, maximize: bool = True) -> Products:
    """Returns the products of a batch's rows with all players' vectors.

    Args:
      vectors: [l, d], this device's players.
      rows: [b, d], this device's rows of the batch, centred if they ought to be.
      groups: g, which must divide the number of devices; 0: as many as there are devices.
      maximize: False: the products of tr(C) I - C in the place of C. Its first eigenvectors are the last of
        C, and it is a mean over rows as C is.
    """
    axis, players = split_axis(), Players.gathered(vectors)
    if axis is None:
        y = rows @ vectors.T
        cv, gram = y.T @ rows / len(rows), y.T @ y / len(rows)
    else:
        cv, gram = _split(axis, players, rows, groups or jax.lax.axis_size(axis))
    trace = pmean(jnp.mean(jnp.sum(rows**2, 1)))
    if maximize:
        return Products(players, cv, gram, trace)
    inner = jnp.einsum("ld,kd->lk", vectors, players.everybody)
    rest = (rows.shape[1] - 1) * trace
    return Products(players, trace * vectors - cv, trace * inner - gram, rest)


def _split(axis: str, players: Players, rows: jax.Array, g: int) -> tuple[jax.Array, jax.Array]:
    """Returns (C v_i, v_i^T C v_j) of this device's players, from g groups of devices."""
    n = jax.lax.axis_size(axis)
    copies = [[first + i for i in range(g)] for first in range(0, n, g)]
    members = [list(range(i, n, g)) for i in range(g)]

    def gather(x, groups, dim=0):
        return jax.lax.all_gather(x, axis, axis_index_groups=groups, axis=dim, tiled=True)

    def keep(x):
        return jax.lax.psum_scatter(x, axis, axis_index_groups=copies, tiled=True)

    x = gather(rows, members)  # [b / g, d]
    size = g * len(players.numbers)  # k / m, of all copies together
    first = jax.lax.axis_index(axis) // g * size
    y = x @ jax.lax.dynamic_slice_in_dim(players.everybody, first, size).T  # [b / g, k / m]
    b = len(x) * g
    return keep(y.T @ x) / b, keep(y.T @ gather(y, members, 1)) / b


def check_groups(groups: int, num_devices: int) -> None:
    """Checks that the groups have equally many devices.

    Args:
      groups: g; 0 fits always.
      num_devices: n.

    Raises:
      ConfigError: of the field `groups`; it names the nearest number that fits.
    """
    if groups and num_devices % groups:
        divisors = (g for g in range(1, num_devices + 1) if num_devices % g == 0)
        best = min(divisors, key=lambda g: abs(g - groups))
        raise ConfigError(f"{groups} does not divide the {num_devices} devices; use {best}", "groups")
