"""Steps of EigenGame whose rates are relative to each player's own eigenvalue: no unit of the data matters.

    rate_i = learning_rate / ((1 + decay t) s_i),   s_i a running mean of ||direction_i|| over steps t

In its place a vector has the direction lambda_i v_i (mu; alpha: twice that), and once the players before
it are right its direction is linear with eigenvalues of at most lambda_i: that is the curvature which
bounds player i's rate. A rate relative to the first eigenvalue alone would leave player i slower by
lambda_i / lambda_1. The norm of the direction is a better estimate than that of C v_i or the Rayleigh
quotient, which stay near lambda_1 for as long as v_i keeps a part along the first vectors, although the
penalties have cancelled its effect. No pass over the data is needed beforehand. All this is for rules
whose vectors stay on the unit sphere; directions are projected on it.

The decay is Robbins and Monro's: batches are noisy, and only falling rates average the noise.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lib.eigengame.ascent import initial_optimizers, initial_vectors
from lib.eigengame.metrics import angles
from lib.eigengame.pca.directions import tangential
from lib.eigengame.pca.products import products
from lib.eigengame.pca.rules import PcaRule, orthonormalized
from lib.eigengame.pca.steps import move
from lib.optimizers import Optimizer

MEMORY = 10  # steps that the mean of s_i reaches back


class PlayerStates(NamedTuple):
    """What k players carry from step to step.

    Attributes:
      vectors: [k, d], of unit length.
      opt_state: every leaf has a leading axis k; holds the rates.
      size: [k], s_i.
      variance: [k], a running mean of the Rayleigh quotients v_i^T C v_i, each taken before the step on its
        rows; step t weighs as t.
      count: t, the number of steps made.
    """

    vectors: jax.Array
    opt_state: Any
    size: jax.Array
    variance: jax.Array
    count: jax.Array


@functools.partial(jax.jit, static_argnames=("optimizer", "k", "d", "dtype"))
def initial_players(optimizer: Optimizer, seed: int, k: int, d: int, dtype: Any) -> PlayerStates:
    """Returns k players at random unit vectors of d features; the optimiser is of `lib.optimizers.make`."""
    vectors = initial_vectors(jax.random.key(seed), k, d).astype(dtype)
    opt_state, zeros = initial_optimizers(optimizer, vectors), jnp.zeros(k, dtype)
    return PlayerStates(vectors, opt_state, zeros, zeros, jnp.zeros((), jnp.int32))


def advance(
    rule: PcaRule,
    optimizer: Optimizer,
    players: PlayerStates,
    rows: jax.Array,
    learning_rate: float,
    decay: float,
) -> PlayerStates:
    """Makes one step on centred rows [b, d], by a rule that is `on_sphere`."""
    p = products(players.vectors, rows)
    direction = rule.direction(p)
    weight = 2 / (players.count + 2)
    norm = jnp.linalg.norm(direction, axis=1)
    size = _running_mean(players.size, norm, jnp.maximum(weight, 1 / MEMORY))
    variance = _running_mean(players.variance, jnp.diagonal(p.gram), weight)
    rates = learning_rate / ((1 + decay * players.count) * _above_rounding(size))
    opt_state = _with_rates(players.opt_state, rates)
    vectors, opt_state, _ = move(rule, optimizer, opt_state, p, tangential(direction, players.vectors))
    return PlayerStates(vectors, opt_state, size, variance, players.count + 1)


def epoch(
    rule: PcaRule,
    optimizer: Optimizer,
    players: PlayerStates,
    rows: jax.Array,
    key: jax.Array,
    batch_size: int,
    learning_rate: float,
    decay: float,
) -> PlayerStates:
    """Makes steps over all of n rows [n, d] in a random order.

    The last n mod batch_size of the order are left out.
    """
    if batch_size == len(rows):
        return advance(rule, optimizer, players, rows, learning_rate, decay=0)  # no noise to average
    batches = len(rows) // batch_size
    order = jax.random.permutation(key, len(rows))[: batches * batch_size]

    def one(players, batch):
        return advance(rule, optimizer, players, rows[batch], learning_rate, decay), None

    return jax.lax.scan(one, players, order.reshape(batches, batch_size))[0]


@functools.partial(jax.jit, static_argnames=("rule", "optimizer", "batch_size"))
def play(
    rule: PcaRule,
    optimizer: Optimizer,
    players: PlayerStates,
    rows: jax.Array,
    seed: int,
    *,
    batch_size: int,
    learning_rate: float,
    decay: float,
    max_epochs: int,
    tol: float,
) -> tuple[PlayerStates, jax.Array, jax.Array]:
    """Makes epochs over rows [n, d], until no component turns by more than `tol` radians in one.

    At most max_epochs.

    Components are the vectors after Gram-Schmidt; those without variance beyond rounding may turn for ever.

    Returns:
      (players, the number of epochs, the largest angle by which a component turned in the last one).
    """

    def unfinished(carry):
        _, _, done, turned = carry
        return (done < max_epochs) & (turned > tol)

    def next_epoch(carry):
        players, before, done, _ = carry
        key = jax.random.fold_in(jax.random.key(seed), done)
        players = epoch(rule, optimizer, players, rows, key, batch_size, learning_rate, decay)
        basis = orthonormalized(players.vectors)
        variance = jnp.mean((rows @ basis.T) ** 2, 0)
        held = variance > jnp.finfo(rows.dtype).eps * jnp.max(variance)
        turned = jnp.max(jnp.where(held, angles(basis, before), 0))
        return players, basis, done + 1, turned

    start = players, orthonormalized(players.vectors), 0, jnp.asarray(jnp.inf, rows.dtype)
    players, _, done, turned = jax.lax.while_loop(unfinished, next_epoch, start)
    return players, done, turned


def _running_mean(mean: jax.Array, value: jax.Array, weight: jax.Array) -> jax.Array:
    """Moves a mean towards a value by a share of the way."""
    return mean + weight * (value - mean)


def _above_rounding(size: jax.Array) -> jax.Array:
    """Returns size, at least sqrt(epsilon) of the largest one: what is left of C below that is rounding."""
    limits = jnp.finfo(size.dtype)
    return jnp.maximum(size, jnp.maximum(limits.eps**0.5 * jnp.max(size), limits.tiny))


def _with_rates(opt_state: Any, rates: jax.Array) -> Any:
    """Returns the optimiser states with these learning rates, [k]."""
    return opt_state._replace(hyperparams=opt_state.hyperparams | {"learning_rate": rates})
