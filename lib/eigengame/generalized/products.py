"""A batch's products with the players' vectors, of either half of its rows: A v_i, v_i^T A v_i, and B's.

Players are split over devices, and so are rows, in as many groups as devices: `lib.eigengame.pca.products`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lib.eigengame.generalized.problems import Problem
from lib.eigengame.players import Players, split_axis


class Products(NamedTuple):
    """A batch's products with the vectors of a device's own players.

    Attributes:
      players: all, and which are this device's own.
      a: [l, d], A v_i.
      b: [l, d], B v_i.
      vav: [l], v_i^T A v_i.
      vbv: [l], v_i^T B v_i = |v_i|_B^2.
    """

    players: Players
    a: jax.Array
    b: jax.Array
    vav: jax.Array
    vbv: jax.Array

    @classmethod
    def of(cls, players: Players, a: jax.Array, b: jax.Array) -> "Products":
        """Returns the products with all of their fields, from A v_i and B v_i, both [l, d]."""
        vav, vbv = (jnp.einsum("ld,ld->l", players.own, product) for product in (a, b))
        return cls(players, a, b, vav, vbv)


def products(problem: Problem, vectors: jax.Array, rows: jax.Array) -> tuple[Products, Products]:
    """Returns the products of either half of a batch: of its even rows, and of its odd ones.

    Args:
      problem: A and B.
      vectors: [l, d], this device's players.
      rows: [b, d], this device's rows; b is even.
    """
    players = Players.gathered(vectors)
    a, b = jax.vmap(problem, (None, 1))(players.everybody, rows.reshape(-1, 2, rows.shape[1]))  # [2, k, d]
    a, b = _kept(a), _kept(b)
    return Products.of(players, a[0], b[0]), Products.of(players, a[1], b[1])


def whole_batch(halves: tuple[Products, Products]) -> Products:
    """Returns the products of a whole batch from those of its halves."""
    even, odd = halves
    return Products.of(even.players, (even.a + odd.a) / 2, (even.b + odd.b) / 2)


def crossed(halves: tuple[Products, Products]) -> tuple[Products, Products]:
    """Returns the products with A of one half and B of the other, both ways round."""
    even, odd = halves
    return even._replace(b=odd.b, vbv=odd.vbv), odd._replace(b=even.b, vbv=even.vbv)


def _kept(product: jax.Array) -> jax.Array:
    """Returns the mean over devices of [2, k, d], of this device's players alone: [2, l, d]."""
    axis = split_axis()
    if axis is None:
        return product
    total = jax.lax.psum_scatter(product, axis, scatter_dimension=1, tiled=True)
    return total / jax.lax.axis_size(axis)
