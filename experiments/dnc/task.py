"""Repeat copy: a random pattern of bits, and how often it is to be given back after it.

    observation   start marker, pattern, number of repeats / 10, then nothing
    target        nothing that long, then the pattern as often as that, and an end marker

Channels of the observation: the bits, the start marker, the repeats; of the target: the bits, the end
marker. Sequences are made on the device, from a key alone.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

_LARGEST = 10.0  # repeats are given as a share of it


class Sequences(NamedTuple):
    """What is seen [n, t, bits + 2], what is to be given [n, t, bits + 1], and where that counts [n, t]."""

    observation: jax.Array
    target: jax.Array
    mask: jax.Array


def steps(max_length: int, max_repeats: int) -> int:
    """Returns t, the steps of the longest sequence."""
    return max_length * (max_repeats + 1) + 3


def repeat_copy(
    key: jax.Array, n: int, bits: int, lengths: tuple[int, int], repeats: tuple[int, int]
) -> Sequences:
    """Draws n sequences.

    Args:
      bits: of each vector of the pattern.
      lengths: the fewest and the most vectors of a pattern.
      repeats: the fewest and the most repeats.
    """
    t = steps(lengths[1], repeats[1])
    return jax.vmap(lambda k: _one(k, t, bits, lengths, repeats))(jax.random.split(key, n))


def _one(key: jax.Array, t: int, bits: int, lengths: tuple, repeats: tuple) -> Sequences:
    key_length, key_repeats, key_bits = jax.random.split(key, 3)
    length = jax.random.randint(key_length, (), lengths[0], lengths[1] + 1)
    times = jax.random.randint(key_repeats, (), repeats[0], repeats[1] + 1)
    pattern = jax.random.bernoulli(key_bits, 0.5, (lengths[1], bits)).astype(float)

    at = jnp.arange(t)
    inside = (at >= 1) & (at <= length)
    seen = jnp.where(inside[:, None], pattern[jnp.clip(at - 1, 0, lengths[1] - 1)], 0.0)
    start = (at == 0).astype(float)
    number = jnp.where(at == length + 1, times / _LARGEST, 0.0)

    since = at - (length + 2)  # steps since the answer begins
    end = length * times
    gives = (since >= 0) & (since < end)
    given = jnp.where(gives[:, None], pattern[since % length], 0.0)
    mask = ((since >= 0) & (since <= end)).astype(float)
    return Sequences(
        jnp.concatenate([seen, start[:, None], number[:, None]], 1),
        jnp.concatenate([given, (since == end).astype(float)[:, None]], 1),
        mask,
    )
