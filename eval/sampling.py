"""Batches of images to score: generated, real, or noise."""

from collections.abc import Iterable, Iterator

import jax
import numpy as np

from lib.data import Dataset
from lib.experiment import State
from lib.runtime import streams
from lib.runtime.programs import Programs
from lib.runtime.progress import Progress


def generated(
    programs: Programs, placed: State, n: int, batch_size: int, seed: int, quiet: bool = False
) -> Iterator[jax.Array]:
    """Yields n samples of a run's experiment, float32 [b, h, w, c] in [-1, 1], on the devices.

    Batches are drawn on all devices, each from a key of its own number: the samples do not depend on how
    many devices there are.

    Args:
      programs: of the experiment.
      placed: a state on the programs' devices, see `Programs.place`.
      n: how many samples.
      batch_size: samples that a device draws in one call; the last batch is cut.
      seed: of the samples' random stream.
      quiet: whether to show no progress.
    """
    sample, devices = programs.samples(batch_size), len(programs.devices)
    batch_keys = jax.vmap(jax.random.fold_in, (None, 0))
    key = streams.samples_key(seed)
    progress = Progress(n, unit="sample", label="sampling", quiet=quiet)
    for first in range(0, -(-n // batch_size), devices):
        numbers = np.arange(first, first + devices)
        images = sample(placed, batch_keys(key, numbers))
        for i, number in enumerate(numbers):
            left = min(batch_size, n - number * batch_size)
            if left > 0:
                progress.advance(left)
                progress.show({})
                yield images[i] if left == batch_size else images[i, :left]
    progress.close()


def real(dataset: Dataset, n: int, batch_size: int, seed: int, quiet: bool = False) -> Iterator[np.ndarray]:
    """Yields at most n images of a set in a random order, float32 [b, h, w, c] in [-1, 1].

    For n >= the size of the set these are all of its images, each once.
    """
    order = streams.bounds_generator(seed).permutation(dataset.size)[:n]
    progress = Progress(len(order), unit="image", label="real images", quiet=quiet)
    for start in range(0, len(order), batch_size):
        images = signed(dataset, order[start : start + batch_size])
        progress.advance(len(images))
        progress.show({})
        yield images
    progress.close()


def signed(dataset: Dataset, rows: np.ndarray | slice) -> np.ndarray:
    """Returns some images of a set, float32 [n, h, w, c] in [-1, 1]."""
    return np.asarray(dataset.image[rows], np.float32) * (2 / 255) - 1


def noise(shape: tuple[int, ...], n: int, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Yields n images of independent uniform pixels in [-1, 1], float32 [b, *shape]."""
    generator = streams.bounds_generator(seed)
    for start in range(0, n, batch_size):
        size = min(batch_size, n - start)
        yield generator.uniform(-1, 1, (size, *shape)).astype(np.float32)


def cut(batches: Iterable[np.ndarray], size: int) -> Iterator[tuple[int, np.ndarray]]:
    """Cuts a stream of batches into parts of `size` images, and yields (number of the part, batch)."""
    done = 0
    for batch in batches:
        while len(batch):
            left = size - done % size
            if len(batch) <= left:
                yield done // size, batch
                done, batch = done + len(batch), ()
            else:
                yield done // size, batch[:left]
                done, batch = done + left, batch[left:]
