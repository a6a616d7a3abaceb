"""The direction in which the players of gamma-EigenGame move, term by term, and their utility.

Player i has `utility` u_i, the Rayleigh quotient of its vector less what is explained by its parents j < i.

Einsum legend: d features, k players (j), l players of one device (i). y_j = v_j / |v_j|_B.

    (|v_i|_B^4 / 2) grad u_i = |v_i|_B^2 A v_i - (v_i^T A v_i) B v_i
                               - sum_{j<i} lambda_j (v_i^T B y_j) (|v_i|_B^2 B y_j - (v_i^T B y_j) B v_i)

In the equilibrium lambda_j B y_j = A y_j. With this v_i^T A y_j in place of lambda_j (v_i^T B y_j) every
term is `reward` or `penalty`: one factor of A times one of B, and B y_j. Batches leave the mean of such
products as it is if

- the factors come from different rows: A from one half of a batch, B from the other, then the other way
  round;
- B y_j, whose denominator is no mean, comes from batches before: from running means, `Auxiliary`.

Whatever the batch, the direction is orthogonal to v_i, as gradients of quotients are: no projection is
needed.
"""

import jax
import jax.numpy as jnp

from lib.eigengame.generalized.auxiliary import Auxiliary
from lib.eigengame.generalized.products import Products, crossed
from lib.eigengame.players import all_players


def reward(p: Products) -> jax.Array:
    """Returns the direction in which each player alone would become the first eigenvector, [l, d].

    |v_i|_B^2 A v_i - (v_i^T A v_i) B v_i
    """
    return p.vbv[:, None] * p.a - p.vav[:, None] * p.b


def penalty(p: Products, auxiliary: Auxiliary) -> jax.Array:
    """Returns what keeps players from their parents, [l, d].

    sum_{j<i} (v_i^T A y_j) (|v_i|_B^2 B y_j - (v_i^T B y_j) B v_i)

    Args:
      p: v_i^T A, |v_i|_B^2 and B v_i.
      auxiliary: of all players, [k, ...]: y_j and B y_j.
    """
    norm = jnp.sqrt(auxiliary.norm)[:, None]
    y, by = p.players.everybody / norm, auxiliary.b / norm
    weight = p.players.parents * jnp.einsum("ld,kd->lk", p.a, y)
    towards = jnp.einsum("lk,kd->ld", weight, by)
    along_own = jnp.einsum("ld,ld->l", p.players.own, towards)
    return p.vbv[:, None] * towards - along_own[:, None] * p.b


def direction(halves: tuple[Products, Products], auxiliary: Auxiliary) -> jax.Array:
    """Returns reward - penalty, [l, d], to ascend: the mean over which half is A's and which is B's."""
    return sum(reward(p) - penalty(p, auxiliary) for p in crossed(halves)) / 2


def eckart_young(halves: tuple[Products, Products]) -> jax.Array:
    """Returns minus a quarter of the gradient of the Eckart-Young loss, [l, d], to ascend.

    L(V) = -2 tr(V A V^T) + tr((V B V^T)^2),    -grad_i L / 4 = A v_i - sum_j (v_i^T B v_j) B v_j

    Its minima span the k leading eigenvectors, whose own order they do not have: no player has parents, and
    vectors are not normalised. The factors of the product are of different halves of a batch.

    Chapman, Wells, Lawry Aguila, 'Unconstrained Stochastic CCA: Unifying Multiview and Self-Supervised
    Learning', ICLR 2024.
    """

    def of(one: Products, other: Products) -> jax.Array:
        grams = jnp.einsum("ld,kd->lk", one.b, one.players.everybody)
        return one.a - jnp.einsum("lk,kd->ld", grams, all_players(other.b))

    even, odd = halves
    return (of(even, odd) + of(odd, even)) / 2


def utility(p: Products) -> jax.Array:
    """Returns the players' utilities, [l].

    u_i = lambda_i - sum_{j<i} lambda_j (v_i^T B v_j)^2 / (|v_i|_B^2 |v_j|_B^2), lambda = v^T A v / |v|_B^2
    """
    quotient = p.vav / p.vbv
    cosine2 = jnp.einsum("ld,kd->lk", p.b, p.players.everybody) ** 2 / (
        p.vbv[:, None] * all_players(p.vbv)[None]
    )
    return quotient - jnp.einsum("lk,lk,k->l", p.players.parents, cosine2, all_players(quotient))
