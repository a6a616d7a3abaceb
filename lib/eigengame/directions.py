"""The directions in which the players of EigenGame and its relatives move, term by term.

Einsum legend: d features, k players (j), l players of one device (i). C = X^T X / b is the batch's second moment.
All take the products of `lib.eigengame.products` and give [l, d], a direction of ascent for each player.

mu (EigenGame Unloaded): Gemp et al., 'EigenGame Unloaded', ICLR 2022, equation 5 and algorithm 1.
alpha (EigenGame): Gemp et al., 'EigenGame: PCA as a Nash Equilibrium', ICLR 2021, equations 6 and 7.
sanger: Sanger, 'Optimal unsupervised learning in a single-layer linear feedforward neural network', 1989.
"""

import jax
import jax.numpy as jnp

from lib.eigengame.products import Products, all_players


def reward(p: Products) -> jax.Array:
    """C v_i: each player alone would become the first eigenvector. With a QR retraction: Oja's method."""
    return p.reward


def mu(p: Products) -> jax.Array:
    """C v_i - sum_{j<i} (v_i^T C v_j) v_j: linear in C, so that a batch's mean is unbiased."""
    return p.reward - jnp.einsum("lk,kd->ld", _parents(p) * p.gram, p.vectors)


def alpha(p: Products) -> jax.Array:
    """2 C [v_i - sum_{j<i} (v_i^T C v_j) / (v_j^T C v_j) v_j]: the gradient of `utility`; batches bias it."""
    penalty = jnp.einsum("lk,kd->ld", _parents(p) * _projections(p), all_players(p.reward))
    return 2 * (p.reward - penalty)


def sanger(p: Products) -> jax.Array:
    """C v_i - sum_{j<=i} (v_i^T C v_j) v_j: the generalised Hebbian algorithm; norms go to 1 by themselves."""
    return p.reward - jnp.einsum("lk,kd->ld", (_parents(p) + _self(p)) * p.gram, p.vectors)


def utility(p: Products) -> jax.Array:
    """u_i = v_i^T C v_i - sum_{j<i} (v_i^T C v_j)^2 / (v_j^T C v_j), [l]."""
    variance = jnp.sum(_self(p) * p.gram, 1)
    return variance - jnp.sum(_parents(p) * _projections(p) * p.gram, 1)


def tangential(direction: jax.Array, vectors: jax.Array) -> jax.Array:
    """(I - v_i v_i^T) direction_i: the part along the sphere, for unit vectors; both [l, d]."""
    return direction - jnp.einsum("ld,ld->l", vectors, direction)[:, None] * vectors


def _parents(p: Products) -> jax.Array:
    """1 where j < i, else 0, [l, k]."""
    return (jnp.arange(len(p.vectors))[None] < p.own[:, None]).astype(p.gram.dtype)


def _self(p: Products) -> jax.Array:
    """1 where j = i, else 0, [l, k]."""
    return (jnp.arange(len(p.vectors))[None] == p.own[:, None]).astype(p.gram.dtype)


def _projections(p: Products) -> jax.Array:
    """(v_i^T C v_j) / (v_j^T C v_j), [l, k]; 0 where a batch has no variance along v_j, its limit."""
    variance = all_players(jnp.sum(_self(p) * p.gram, 1))[None]
    return jnp.where(variance > 0, p.gram / jnp.where(variance > 0, variance, 1), 0)
