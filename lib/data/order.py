"""The order of the data, a function of (seed, step) and of nothing else.

So a run resumed at step n sees what the run that never stopped sees, and no iterator is saved.
"""

import functools
from collections.abc import Callable

import numpy as np

from lib.runtime import streams


def epoch_orders(size: int, seed: int) -> Callable[[int], np.ndarray]:
    """Returns `(epoch) -> order of the examples`, which keeps the few that it was last asked for."""
    return functools.lru_cache(maxsize=4)(
        lambda epoch: streams.epoch_generator(seed, epoch).permutation(size)
    )


def batch_indices(
    size: int, batch_size: int, seed: int, step: int, orders: Callable[[int], np.ndarray] | None = None
) -> np.ndarray:
    """Returns which examples the batch of `step` (from 0) holds, int32 [batch_size].

    Examples come in a new random order every epoch; batches run on over the epochs' ends, so that
    every example is seen equally often whether or not the batch size divides the set's size.

    Args:
      orders: `epoch_orders(size, seed)`, of who asks for many steps; by default those of the last seed.
    """
    orders = orders or _latest_orders(size, seed)
    first = step * batch_size
    positions = np.arange(first, first + batch_size)
    indices = np.empty(batch_size, np.int32)
    for epoch in range(first // size, (first + batch_size - 1) // size + 1):
        here = positions // size == epoch
        indices[here] = orders(epoch)[positions[here] % size]
    return indices


_latest_orders = functools.lru_cache(maxsize=1)(epoch_orders)
