"""Generalised eigenvalue problems A v = lambda B v as a game: gamma-EigenGame.

Gemp, Chen, McWilliams, 'The Symmetric Generalized Eigenvalue Problem as a Nash Equilibrium', ICLR 2023.
A is symmetric, B is symmetric and positive definite, both are means over rows and never formed. Player i
has `utility` u_i, the Rayleigh quotient of its vector less what is explained by its parents j < i.

Einsum legend: b rows of a batch, d features, k players (j), l players of one device (i); y_j = v_j / |v_j|_B.

    (|v_i|_B^4 / 2) grad u_i = |v_i|_B^2 A v_i - (v_i^T A v_i) B v_i
                               - sum_{j<i} lambda_j (v_i^T B y_j) (|v_i|_B^2 B y_j - (v_i^T B y_j) B v_i)

In the equilibrium lambda_j B y_j = A y_j. With this v_i^T A y_j in place of lambda_j (v_i^T B y_j) every term is
`reward` or `penalty`: one factor of A times one of B, and B y_j. Batches leave the mean of such products as it is if

- the factors come from different rows: A from one half of a batch, B from the other, then the other way round;
- B y_j, whose denominator is no mean, comes from batches before: from running means, `Auxiliary`.

Whatever the batch, the direction is orthogonal to v_i, as gradients of quotients are: no projection is needed.
Players are split over devices, and rows are: see `lib.eigengame.products`, with as many groups as devices.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lib.eigengame.products import all_players
from lib.eigengame.rules import ascend, normalized
from lib.optimizers import Optimizer
from lib.runtime.devices import bound_axis, pmean

# `(vectors [k, d], rows [b, d]) -> (A v_j [k, d], B v_j [k, d])`, where A and B are means over the rows.
Problem = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


class Products(NamedTuple):
    """A batch's products with the vectors of a device's own players.

    Attributes:
      vectors: [k, d], of all players, v_j.
      own: [l], the numbers of this device's players, i.
      a: [l, d], A v_i.
      b: [l, d], B v_i.
    """

    vectors: jax.Array
    own: jax.Array
    a: jax.Array
    b: jax.Array


class Auxiliary(NamedTuple):
    """Running means over batches, what the players know of their parents.

    Attributes:
      b: [l, d], B v_i.
      norm: [l], v_i^T B v_i: a mean of squares, so that it stays positive where v_i^T b_i might not.
    """

    b: jax.Array
    norm: jax.Array


def products(problem: Problem, vectors: jax.Array, rows: jax.Array) -> tuple[Products, Products]:
    """The products of either half of a batch: of its even rows, and of its odd ones.

    Args:
      problem: A and B.
      vectors: [l, d], this device's players.
      rows: [b, d], this device's rows; b is even.
    """
    everybody = all_players(vectors)
    a, b = jax.vmap(problem, (None, 1))(everybody, rows.reshape(-1, 2, rows.shape[1]))  # [2, k, d]
    own = jnp.arange(len(vectors))
    if axis := bound_axis():
        n = jax.lax.axis_size(axis)
        keep = lambda x: jax.lax.psum_scatter(x, axis, scatter_dimension=1, tiled=True) / n
        a, b, own = keep(a), keep(b), own + jax.lax.axis_index(axis) * len(vectors)
    even, odd = (Products(everybody, own, a[half], b[half]) for half in (0, 1))
    return even, odd


def reward(p: Products) -> jax.Array:
    """|v_i|_B^2 A v_i - (v_i^T A v_i) B v_i, [l, d]: each player alone would become the first eigenvector."""
    return _own(p, p.b)[:, None] * p.a - _own(p, p.a)[:, None] * p.b


def penalty(p: Products, auxiliary: Auxiliary) -> jax.Array:
    """sum_{j<i} (v_i^T A y_j) (|v_i|_B^2 B y_j - (v_i^T B y_j) B v_i), [l, d].

    Args:
      p: v_i^T A, |v_i|_B^2 and B v_i.
      auxiliary: of all players, [k, ...]: y_j and B y_j.
    """
    norm = jnp.sqrt(auxiliary.norm)[:, None]
    y, by = p.vectors / norm, auxiliary.b / norm
    weight = _parents(p) * jnp.einsum("ld,kd->lk", p.a, y)
    towards = jnp.einsum("lk,kd->ld", weight, by)
    return (
        _own(p, p.b)[:, None] * towards - jnp.einsum("ld,ld->l", p.vectors[p.own], towards)[:, None] * p.b
    )


def direction(halves: tuple[Products, Products], auxiliary: Auxiliary) -> jax.Array:
    """reward - penalty, [l, d], to ascend: the mean over which half is A's and which is B's."""
    even, odd = halves
    crossed = (even._replace(b=odd.b), odd._replace(b=even.b))
    return sum(reward(p) - penalty(p, auxiliary) for p in crossed) / 2


def utility(p: Products) -> jax.Array:
    """u_i = lambda_i - sum_{j<i} lambda_j (v_i^T B v_j)^2 / (|v_i|_B^2 |v_j|_B^2), lambda = v^T A v / |v|_B^2, [l]."""
    norm = _own(p, p.b)
    quotient = _own(p, p.a) / norm
    cosine2 = jnp.einsum("ld,kd->lk", p.b, p.vectors) ** 2 / (norm[:, None] * all_players(norm)[None])
    return quotient - jnp.einsum("lk,lk,k->l", _parents(p), cosine2, all_players(quotient))


def initial_auxiliary(problem: Problem, vectors: jax.Array, rows: jax.Array) -> Auxiliary:
    """What one batch says of all players; without devices."""
    return _estimate(_whole(products(problem, vectors, rows)))


def step(
    problem: Problem,
    optimizer: Optimizer,
    vectors: jax.Array,
    opt_state: Any,
    auxiliary: Auxiliary,
    rows: jax.Array,
    *,
    gamma: float,
) -> tuple[jax.Array, Any, Auxiliary, dict[str, jax.Array]]:
    """One step of this device's players on its rows of a batch.

    Args:
      problem: A and B.
      optimizer: of each player; it is told the player's `value`, -u_i.
      vectors: [l, d], of norm 1.
      opt_state: of this device's players, see `lib.eigengame.initial_optimizers`.
      auxiliary: of this device's players.
      rows: [b, d], centred if they ought to be; b is even.
      gamma: the share of this batch in the running means.

    Returns:
      (vectors, opt_state, auxiliary, {utility: the mean of u_i, learning_rate: its mean over players}).
    """
    halves = products(problem, vectors, rows)
    whole = _whole(halves)
    upwards = direction(halves, jax.tree.map(all_players, auxiliary))
    u = utility(whole)
    moved, opt_state, rate = ascend(optimizer, vectors, opt_state, upwards, -u)
    auxiliary = jax.tree.map(lambda old, new: old + gamma * (new - old), auxiliary, _estimate(whole))
    return normalized(moved), opt_state, auxiliary, {"utility": pmean(jnp.mean(u)), "learning_rate": rate}


def _whole(halves: tuple[Products, Products]) -> Products:
    """The products of a whole batch."""
    even, odd = halves
    return even._replace(a=(even.a + odd.a) / 2, b=(even.b + odd.b) / 2)


def _estimate(p: Products) -> Auxiliary:
    return Auxiliary(p.b, _own(p, p.b))


def _own(p: Products, product: jax.Array) -> jax.Array:
    """v_i^T A v_i or v_i^T B v_i, [l]."""
    return jnp.einsum("ld,ld->l", p.vectors[p.own], product)


def _parents(p: Products) -> jax.Array:
    """1 where j < i, else 0, [l, k]."""
    return (jnp.arange(len(p.vectors))[None] < p.own[:, None]).astype(p.a.dtype)
