"""Networks on many images: in batches of one size, so that they are one program."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from eval.networks.network import Array


def in_batches(outputs: Callable[[jax.Array], Any], size: int, images: Array) -> Any:
    """Returns a tree of outputs [n, ..] of images [n, ..]; the last batch is padded.

    Args:
      outputs: what a batch of `size` images gives, on the first device. It is compiled, in full float32:
        scores are to be those of another machine, and GPUs have faster and coarser products.
    """
    n, images = len(images), jax.device_put(images, jax.local_devices()[0])
    if n % size:
        images = jnp.pad(images, [(0, -n % size), *[(0, 0)] * (images.ndim - 1)])
    with jax.default_matmul_precision("highest"):
        parts = [outputs(images[i : i + size]) for i in range(0, n, size)]
    return jax.tree.map(lambda *x: jnp.concatenate(x)[:n], *parts)
