"""What players know of their parents: running means over batches."""

from typing import NamedTuple

import jax

from lib.eigengame.generalized.problems import Problem
from lib.eigengame.generalized.products import Products, products, whole_batch


class Auxiliary(NamedTuple):
    """Running means over batches.

    Attributes:
      b: [l, d], B v_i.
      norm: [l], v_i^T B v_i: a mean of squares, so that it stays positive where v_i^T b_i might not.
    """

    b: jax.Array
    norm: jax.Array


def initial_auxiliary(problem: Problem, vectors: jax.Array, rows: jax.Array) -> Auxiliary:
    """Returns the means of one batch, of all players; without devices."""
    return estimate(whole_batch(products(problem, vectors, rows)))


def estimate(p: Products) -> Auxiliary:
    """Returns the means of one batch, of this device's players."""
    return Auxiliary(p.b, p.vbv)


def updated(auxiliary: Auxiliary, p: Products, gamma: float) -> Auxiliary:
    """Returns the means with a batch's share gamma in them."""
    return jax.tree.map(lambda old, new: old + gamma * (new - old), auxiliary, estimate(p))
