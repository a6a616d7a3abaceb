"""The directions in which the players of EigenGame and its relatives move, term by term.

Einsum legend: d features, k players (j), l players of one device (i). C = X^T X / b is the second moment
of a batch. All take the products of `lib.eigengame.pca.products` and return [l, d], a direction of ascent
for each player.

mu (EigenGame Unloaded): Gemp et al., 'EigenGame Unloaded', ICLR 2022, equation 5 and algorithm 1.
alpha (EigenGame): Gemp et al., 'EigenGame: PCA as a Nash Equilibrium', ICLR 2021, equations 6 and 7.
krasulina: Tang, 'Exponentially convergent stochastic k-PCA without variance reduction', NeurIPS 2019.
sanger: Sanger, 'Optimal unsupervised learning in a single-layer linear feedforward neural network', 1989.
"""

import jax
import jax.numpy as jnp

from lib.eigengame.pca.products import Products
from lib.eigengame.players import all_players


def reward(p: Products) -> jax.Array:
    """Returns C v_i, by which each player alone would become the first eigenvector.

    With a QR retraction it is Oja's method.
    """
    return p.cv


def mu(p: Products) -> jax.Array:
    """Returns the direction of EigenGame Unloaded, linear in C, so that a batch's mean is unbiased.

    C v_i - sum_{j<i} (v_i^T C v_j) v_j
    """
    return p.cv - jnp.einsum("lk,kd->ld", p.players.parents * p.gram, p.players.everybody)


def alpha(p: Products) -> jax.Array:
    """Returns the direction of EigenGame, the gradient of `utility`; batches bias it.

    2 C [v_i - sum_{j<i} (v_i^T C v_j) / (v_j^T C v_j) v_j]
    """
    penalty = jnp.einsum("lk,kd->ld", p.players.parents * _projections(p), all_players(p.cv))
    return 2 * (p.cv - penalty)


def sanger(p: Products) -> jax.Array:
    """Returns the direction of the generalised Hebbian algorithm; norms go to 1 by themselves.

    C v_i - sum_{j<=i} (v_i^T C v_j) v_j
    """
    penalized = p.players.parents + p.players.selves
    return p.cv - jnp.einsum("lk,kd->ld", penalized * p.gram, p.players.everybody)


def krasulina(p: Products) -> jax.Array:
    """Returns the direction of Krasulina's method for matrices: nothing of it lies in the players' span.

    C v_i - sum_j (v_i^T C v_j) v_j, orthogonal to all v_j where these are orthonormal
    """
    return p.cv - jnp.einsum("lk,kd->ld", p.gram, p.players.everybody)


def utility(p: Products) -> jax.Array:
    """Returns the players' utilities, [l].

    u_i = v_i^T C v_i - sum_{j<i} (v_i^T C v_j)^2 / (v_j^T C v_j)
    """
    variance = jnp.sum(p.players.selves * p.gram, 1)
    return variance - jnp.sum(p.players.parents * _projections(p) * p.gram, 1)


def tangential(direction: jax.Array, vectors: jax.Array) -> jax.Array:
    """Returns (I - v_i v_i^T) direction_i: the part along the sphere, for unit vectors; both [l, d]."""
    return direction - jnp.einsum("ld,ld->l", vectors, direction)[:, None] * vectors


def _projections(p: Products) -> jax.Array:
    """Returns (v_i^T C v_j) / (v_j^T C v_j), [l, k]; 0, its limit, where v_j has no variance in a batch."""
    variance = all_players(jnp.sum(p.players.selves * p.gram, 1))[None]
    return jnp.where(variance > 0, p.gram / jnp.where(variance > 0, variance, 1), 0)
