"""A differentiable neural computer: an LSTM that reads and writes a memory.

Graves, Wayne, Reynolds et al.: Hybrid computing using a neural network with dynamic external memory, Nature
2016. As in the published code the controller's and the network's outputs are clipped.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lib.nets.memory import Interface, Memory, step


class _Sized(nn.Module):
    """The sizes of the networks and of the memory.

    Attributes:
      hidden: units of the LSTM.
      slots, width: of the memory.
      heads: that read.
      outputs: numbers at each step.
      clip: the largest magnitude of the controller's state and of the outputs.
    """

    hidden: int
    slots: int
    width: int
    heads: int
    outputs: int
    clip: float


class _Cell(_Sized):
    """One step: the LSTM sees the input and what was read before; the output sees what is read now."""

    @nn.compact
    def __call__(self, carry: tuple, x: jax.Array) -> tuple[tuple, jax.Array]:
        lstm, memory, reads = carry
        seen = jnp.concatenate([x, reads.reshape(len(x), -1)], -1)
        lstm, h = nn.OptimizedLSTMCell(self.hidden)(lstm, seen)
        lstm, h = jax.tree.map(lambda a: jnp.clip(a, -self.clip, self.clip), (lstm, h))
        xi = nn.Dense(Interface.width(self.width, self.heads))(h)
        interface = jax.vmap(lambda row: Interface.of(row, self.width, self.heads))(xi)
        memory, reads = jax.vmap(step)(memory, interface)
        y = nn.Dense(self.outputs)(jnp.concatenate([h, reads.reshape(len(x), -1)], -1))
        return (lstm, memory, reads), jnp.clip(y, -self.clip, self.clip)


class Dnc(_Sized):
    """Maps sequences [b, t, inputs] to [b, t, outputs]."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        b = len(x)
        zeros = jnp.zeros((b, self.hidden), x.dtype)
        memory = Memory.empty(self.slots, self.width, self.heads)
        memory = jax.tree.map(lambda a: jnp.broadcast_to(a, (b, *a.shape)).astype(x.dtype), memory)
        reads = jnp.zeros((b, self.heads, self.width), x.dtype)
        one = {"variable_broadcast": "params", "split_rngs": {"params": False}}
        scan = nn.scan(_Cell, **one, in_axes=1, out_axes=1)
        sizes = (self.hidden, self.slots, self.width, self.heads, self.outputs, self.clip)
        return scan(*sizes)(((zeros, zeros), memory, reads), x)[1]
