"""The memory of a differentiable neural computer: addressing by content, allocation and temporal links.

Of one example; n slots of width w, one write head and r read heads. Names are the paper's symbols.

Graves, Wayne, Reynolds et al.: Hybrid computing using a neural network with dynamic external memory, Nature
2016, Methods.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

_SMALL = 1e-6


class Memory(NamedTuple):
    """What is carried from step to step.

    Attributes:
      M: contents [n, w].
      usage: u [n].
      precedence: p [n]: how much each slot was the last one written to.
      link: L [n, n]: L[i, j] is how much i was written to right after j.
      write_weights: w^w [n].
      read_weights: w^r [r, n].
    """

    M: jax.Array
    usage: jax.Array
    precedence: jax.Array
    link: jax.Array
    write_weights: jax.Array
    read_weights: jax.Array

    @classmethod
    def empty(cls, n: int, w: int, r: int) -> "Memory":
        """Returns the memory before the first step."""
        zeros = jnp.zeros
        return cls(zeros((n, w)), zeros(n), zeros(n), zeros((n, n)), zeros(n), zeros((r, n)))


class Interface(NamedTuple):
    """What the controller emits in a step, after its nonlinearities.

    Attributes:
      read_keys: [r, w]; read_strengths: [r], 1 or more.
      write_key: [w]; write_strength: 1 or more.
      erase: [w] in [0, 1]; write: [w].
      free_gates: [r] in [0, 1]; allocation_gate, write_gate: in [0, 1].
      read_modes: [r, 3], shares of backward links, content and forward links.
    """

    read_keys: jax.Array
    read_strengths: jax.Array
    write_key: jax.Array
    write_strength: jax.Array
    erase: jax.Array
    write: jax.Array
    free_gates: jax.Array
    allocation_gate: jax.Array
    write_gate: jax.Array
    read_modes: jax.Array

    @classmethod
    def width(cls, w: int, r: int) -> int:
        """Returns how many numbers a controller has to emit."""
        return w * r + 3 * w + 5 * r + 3

    @classmethod
    def of(cls, xi: jax.Array, w: int, r: int) -> "Interface":
        """Returns the interface that numbers [width] stand for, in the paper's order."""
        sizes = (r * w, r, w, 1, w, w, r, 1, 1, 3 * r)
        ends = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
        keys, strengths, key, strength, erase, write, free, allocate, gate, modes = jnp.split(xi, ends)
        sigmoid = jax.nn.sigmoid
        return cls(
            read_keys=keys.reshape(r, w),
            read_strengths=oneplus(strengths),
            write_key=key,
            write_strength=oneplus(strength[0]),
            erase=sigmoid(erase),
            write=write,
            free_gates=sigmoid(free),
            allocation_gate=sigmoid(allocate[0]),
            write_gate=sigmoid(gate[0]),
            read_modes=jax.nn.softmax(modes.reshape(r, 3), -1),
        )


def oneplus(x: jax.Array) -> jax.Array:
    """Returns 1 + log(1 + exp(x))."""
    return 1 + jax.nn.softplus(x)


def by_content(M: jax.Array, key: jax.Array, strength: jax.Array) -> jax.Array:
    """Returns the softmax over slots [n] of strength times the cosine of each with a key [w]."""
    norms = jnp.sqrt(jnp.sum(M**2, -1) * jnp.sum(key**2) + _SMALL**2)  # also where a slot is empty
    return jax.nn.softmax(strength * (M @ key) / norms)


def used(memory: Memory, free_gates: jax.Array) -> jax.Array:
    """Returns u [n]: what was used or written to, and not freed by a read head since."""
    retention = jnp.prod(1 - free_gates[:, None] * memory.read_weights, 0)
    u, w = memory.usage, memory.write_weights
    return (u + w - u * w) * retention


def allocation(usage: jax.Array) -> jax.Array:
    """Returns a [n]: all on the least used slot, as far as it is free, the rest on the next one, and so on.

    a[phi_j] = (1 - u[phi_j]) prod_{i<j} u[phi_i], with phi the slots by rising usage.
    """
    usage = _SMALL + (1 - _SMALL) * usage  # or the product has no gradient
    order = jnp.argsort(usage)
    rising = usage[order]
    before = jnp.cumprod(jnp.concatenate([jnp.ones(1, usage.dtype), rising[:-1]]))
    return jnp.zeros_like(usage).at[order].set((1 - rising) * before)


def step(memory: Memory, x: Interface) -> tuple[Memory, jax.Array]:
    """Writes to the memory, then reads; returns (the new memory, what was read [r, w])."""
    usage = used(memory, x.free_gates)
    content = by_content(memory.M, x.write_key, x.write_strength)
    allocated = x.allocation_gate * allocation(usage) + (1 - x.allocation_gate) * content
    w = x.write_gate * allocated
    M = memory.M * (1 - jnp.outer(w, x.erase)) + jnp.outer(w, x.write)

    link = (1 - w[:, None] - w[None, :]) * memory.link + jnp.outer(w, memory.precedence)
    link = link * (1 - jnp.eye(len(w), dtype=link.dtype))
    precedence = (1 - w.sum()) * memory.precedence + w

    forward, backward = memory.read_weights @ link.T, memory.read_weights @ link
    found = jax.vmap(by_content, (None, 0, 0))(M, x.read_keys, x.read_strengths)
    modes = jnp.stack([backward, found, forward], 1)  # [r, 3, n]
    read_weights = jnp.einsum("rm,rmn->rn", x.read_modes, modes)
    return Memory(M, usage, precedence, link, w, read_weights), read_weights @ M
