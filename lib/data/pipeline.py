"""How batches reach a compiled training step: from the device's memory, streamed, or drawn there.

All kinds have the same three parts, and the same seed gives the same batches on any number of devices:
- `constants`: arrays that stay on the devices (the whole set, nothing, or what is needed to draw);
- `feed(step)`: what the host hands over to its own devices for that step, leaves [local, ...];
- `batch(constants, feed)`: pure, inside the step: this device's share, {image, label}.

Images are uint8 [b, h, w, c]; points are float32 [b, d], whatever type the set keeps them in; pairs of
sentences are int32 [b, 2, t].
"""

import collections
import concurrent.futures
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lib.data.dataset import Dataset
from lib.data.order import batch_indices, epoch_orders
from lib.errors import ConfigError
from lib.runtime import streams

_LARGEST_BATCH_GB = 4.0  # of rows that are drawn
_PREFETCHED = 3  # batches made ready ahead of the step that uses them


@dataclasses.dataclass(frozen=True)
class Order:
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
    local: slice = dataclasses.field(default_factory=lambda: slice(None))

    @property
    def rows_per_step(self) -> int:
        """Returns how many examples a step takes on all devices."""
        return self.batches_per_step * self.batch_size

    def indices(self, step: int) -> np.ndarray:
        """Returns every local device's share of each batch in turn, int32 [local, batches_per_step * b]."""
        return self.share(batch_indices(self.size, self.rows_per_step, self.seed, step, self._epoch_orders))

    @functools.cached_property
    def _epoch_orders(self) -> Callable[[int], np.ndarray]:
        return epoch_orders(self.size, self.seed)

    def share(self, rows: np.ndarray) -> np.ndarray:
        """Returns the local devices' shares of a step's rows [rows_per_step], batch after batch."""
        shares = rows.reshape(self.batches_per_step, self.num_devices, self.batch_size // self.num_devices)
        return shares.swapaxes(0, 1).reshape(self.num_devices, -1)[self.local]


class Resident:
    """The set lies on the devices; a step gathers its batch by indices."""

    is_resident = True  # the constants are the set, whatever the seed

    def __init__(self, dataset: Dataset, order: Order):
        self.constants = {"image": _as_batch(dataset.image), "label": dataset.label}
        self.feed = order.indices  # (step) -> int32 [local, b]

    def feeds(self, first: int, last: int) -> Iterator[np.ndarray]:
        """Yields the feeds of the steps first .. last - 1."""
        return map(self.feed, range(first, last))

    @staticmethod
    def batch(constants: Mapping[str, jax.Array], feed: jax.Array) -> dict[str, jax.Array]:
        """Gathers this device's share of a batch by its indices."""
        return jax.tree.map(lambda x: x[feed], constants)


class Streamed:
    """The set stays on the host or on disk; batches are gathered there, ahead of their use."""

    is_resident = False

    def __init__(self, dataset: Dataset, order: Order):
        self.constants: dict[str, Any] = {}
        self._dataset, self._order = dataset, order

    def feed(self, step: int) -> dict[str, np.ndarray]:
        """Gathers the batch of `step` on the host: image [local, b, ..], label [local, b]."""
        indices = self._order.indices(step)
        # Sorted reads are kinder to a disk; the inverse puts the batch back in its order.
        ordered, inverse = np.unique(indices, return_inverse=True)
        image = _as_batch(self._dataset.image[ordered])[inverse.reshape(-1)]
        return {
            "image": image.reshape(*indices.shape, *image.shape[1:]),
            "label": self._dataset.label[indices],
        }

    def feeds(self, first: int, last: int) -> Iterator[dict[str, np.ndarray]]:
        """Yields the feeds of the steps first .. last - 1, which a thread gathers ahead of their use."""
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
    def batch(constants: Mapping[str, jax.Array], feed: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """Returns the feed, which is this device's share."""
        del constants
        return dict(feed)


class Generated:
    """Every step draws new rows from the set's source, on the device: x = z @ factor, z ~ N(0, I).

    Each row has a key of its own, from (seed, step, row), so that devices need not know of each other.
    """

    is_resident = False

    def __init__(self, dataset: Dataset, order: Order):
        key = streams.rows_key(order.seed)
        self.constants = {"factor": dataset.source.factor, "key": key}
        self._order = order

    def feed(self, step: int) -> dict[str, np.ndarray]:
        """Returns the uint32 numbers of the `step`, [local], and of its rows, [local, b]."""
        row = self._order.share(np.arange(self._order.rows_per_step, dtype=np.uint32))
        return {"step": np.full(len(row), step, np.uint32), "row": row}

    def feeds(self, first: int, last: int) -> Iterator[dict[str, np.ndarray]]:
        """Yields the feeds of the steps first .. last - 1."""
        return map(self.feed, range(first, last))

    @staticmethod
    def batch(constants: Mapping[str, jax.Array], feed: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """Draws this device's rows."""
        factor, row = constants["factor"], feed["row"]
        key = jax.random.fold_in(constants["key"], feed["step"])

        def normal(i: jax.Array) -> jax.Array:
            return jax.random.normal(jax.random.fold_in(key, i), factor.shape[:1])

        image = jnp.matmul(jax.vmap(normal)(row), factor, precision="highest")
        return {"image": image, "label": jnp.zeros(row.shape, jnp.int32)}


Batches = Resident | Streamed | Generated


def make(dataset: Dataset, order: Order, device_limit_gb: float) -> Batches:
    """Chooses how batches reach the step.

    Rows of a set with a source are drawn; else the set is resident where it fits the limit, as batches hold
    it.
    """
    if dataset.source:
        return Generated(dataset, order)
    bytes_each = 1 if _are_images(dataset.image) else 4  # points and words
    kind = Resident if dataset.image.size * bytes_each <= device_limit_gb * 1e9 else Streamed
    return kind(dataset, order)


def check_batch_size(dataset: Dataset, batch_size: int) -> None:
    """Checks that a set has as many examples as a batch takes.

    Where training draws points without end, or reads no data, a batch is only limited in bytes.

    Raises:
      ConfigError: it names the largest size.
    """
    if dataset.source or dataset.size == 1:
        most, why = int(_LARGEST_BATCH_GB * 1e9 / (4 * math.prod(dataset.image_shape))), "4 GB"
    else:
        most, why = dataset.size, "all examples of the training split"
    if batch_size > most:
        raise ConfigError(f"{batch_size:,} is too large; use at most {most:,} ({why})", "config.batch_size")


def eval_batches(
    dataset: Dataset, batch_size: int, part: slice = slice(None)
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the whole set in order, in batches of one size; `mask` [b] is 0 for the last one's padding.

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
            "image": _as_batch(dataset.image[indices]),
            "label": dataset.label[indices],
            "mask": mask.astype(np.float32),
        }


def _are_images(array: np.ndarray | jax.Array) -> bool:
    """Tells whether an array holds images, [n, h, w, c] in 0 .. 255."""
    return array.ndim == 4


def _as_batch(rows: np.ndarray) -> np.ndarray:
    """Returns images and words as they are, and points as float32."""
    return np.asarray(rows, np.float32) if rows.ndim == 2 else np.asarray(rows)


def to_rows(image: Any, dtype: Any = np.float32) -> Any:
    """Flattens NumPy's or JAX's [n, ...] to floats [n, d]: images scaled to [0, 1], points as they are."""
    rows = image.reshape(len(image), -1).astype(dtype)
    return rows / 255 if _are_images(image) else rows


def to_signed(image: jax.Array) -> jax.Array:
    """Scales uint8 in 0 .. 255 to float32 in [-1, 1]; points and words stay what they are."""
    if image.dtype != jnp.uint8:
        return image
    return image.astype(jnp.float32) * (2 / 255) - 1
