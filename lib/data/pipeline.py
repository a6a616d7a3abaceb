"""How batches reach a compiled training step: from the device's memory, or streamed.

Both kinds have the same three parts and give the same batches for the same seed:
- `constants`: arrays that stay on the devices (the whole set, or nothing);
- `feed(step)`: what the host hands over to its own devices for that step, leaves [local, b, ...];
- `batch(constants, feed)`: pure, inside the step: this device's share, {image, label}.
"""

import collections
import concurrent.futures
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lib.data.dataset import Dataset
from lib.data.order import batch_indices

_PREFETCHED = 3  # batches made ready ahead of the step that uses them


class Order(NamedTuple):
    """Which examples a step sees, and on which device.

    Attributes:
      size: of the data set.
      batch_size: over all devices.
      seed: fixes the order.
      num_devices: must divide the batch size.
      batches_per_step: how many batches one step takes.
      local: which of the devices are this process's own.
    """

    size: int
    batch_size: int
    seed: int
    num_devices: int
    batches_per_step: int = 1
    local: slice = slice(None)

    def indices(self, step: int) -> np.ndarray:
        """int32 [local, batches_per_step * b]: every local device's share of each batch in turn."""
        m = self.batches_per_step
        indices = batch_indices(self.size, m * self.batch_size, self.seed, step)
        shares = indices.reshape(m, self.num_devices, self.batch_size // self.num_devices)
        return shares.swapaxes(0, 1).reshape(self.num_devices, -1)[self.local]


class Resident:
    """The set lies on the devices as uint8; a step gathers its batch by indices."""

    def __init__(self, dataset: Dataset, order: Order):
        self.constants = {"image": np.asarray(dataset.image), "label": dataset.label}
        self._order = order

    def feed(self, step: int) -> np.ndarray:
        """int32 [local, b]: indices of the batch of `step`."""
        return self._order.indices(step)

    def feeds(self, first: int, last: int) -> Iterator[np.ndarray]:
        """The feeds of the steps first .. last - 1."""
        return map(self.feed, range(first, last))

    @staticmethod
    def batch(constants: Mapping[str, jax.Array], feed: jax.Array) -> dict[str, jax.Array]:
        return jax.tree.map(lambda x: x[feed], constants)


class Streamed:
    """The set stays on the host or on disk; batches are gathered there, ahead of their use."""

    def __init__(self, dataset: Dataset, order: Order):
        self.constants: dict[str, Any] = {}
        self._dataset, self._order = dataset, order

    def feed(self, step: int) -> dict[str, np.ndarray]:
        """The batch of `step`: image [local, b, ..], label [local, b]."""
        indices = self._order.indices(step)
        # Sorted reads are kinder to a disk; the inverse puts the batch back in its order.
        ordered, inverse = np.unique(indices, return_inverse=True)
        image = self._dataset.image[ordered][inverse.reshape(-1)]
        return {
            "image": image.reshape(*indices.shape, *image.shape[1:]),
            "label": self._dataset.label[indices],
        }

    def feeds(self, first: int, last: int) -> Iterator[dict[str, np.ndarray]]:
        """The feeds of the steps first .. last - 1, made by a thread ahead of their use."""
        with concurrent.futures.ThreadPoolExecutor(1, "prefetch") as pool:
            ahead = collections.deque()
            try:
                for step in range(first, last):
                    ahead.append(pool.submit(self.feed, step))
                    if len(ahead) > _PREFETCHED:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    @staticmethod
    def batch(constants: Mapping[str, jax.Array], feed: Mapping[str, jax.Array]):
        del constants
        return dict(feed)


def make(dataset: Dataset, order: Order, device_limit_gb: float) -> Resident | Streamed:
    """Device-resident where the set's images take at most `device_limit_gb` GB, else streamed."""
    kind = Resident if dataset.image.nbytes <= device_limit_gb * 1e9 else Streamed
    return kind(dataset, order)


def eval_batches(
    dataset: Dataset, batch_size: int, part: slice = slice(None)
) -> Iterator[dict[str, np.ndarray]]:
    """The whole set in order, in batches of one size; `mask` [b] is 0 for the last one's padding.

    Args:
      dataset: n examples.
      batch_size: of a whole batch.
      part: which rows of each batch to make.
    """
    for start in range(0, dataset.size, batch_size):
        indices = np.arange(start, start + batch_size)[part]
        mask = indices < dataset.size
        indices = np.where(mask, indices, 0)
        yield {
            "image": np.asarray(dataset.image[indices]),
            "label": dataset.label[indices],
            "mask": mask.astype(np.float32),
        }


def to_signed(image: jax.Array) -> jax.Array:
    """uint8 in 0 .. 255 to float32 in [-1, 1]. Points, which are floats, stay what they are."""
    if jnp.issubdtype(image.dtype, jnp.floating):
        return image
    return image.astype(jnp.float32) * (2 / 255) - 1


def to_rows(image: jax.Array) -> jax.Array:
    """A batch as float32 rows [b, d]: images flattened and scaled to [0, 1], points as they are."""
    rows = image.reshape(len(image), -1).astype(jnp.float32)
    return rows / 255 if image.ndim == 4 else rows
