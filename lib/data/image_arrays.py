"""Images of one shape as arrays on disk, prepared once: image.npy, label.npy and a meta.json."""

import contextlib
import math
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lib.config import Section
from lib.data.dataset import Dataset
from lib.errors import ConfigError
from lib.runtime.files import replacing
from lib.runtime.json_files import read_json, write_json
from lib.runtime.npy_files import write_npy
from lib.runtime.progress import Progress
from lib.tables import bytes_text

BATCH, BATCH_BYTES = 1024, 2**25  # a batch is read at a time, of at most so many images and bytes
_FEW = 5_000  # images that are prepared without a progress bar


class Meta(Section):
    """Describes a split besides its arrays."""

    name: str
    version: str
    split: str
    num_classes: int


def prepare(
    meta: Path,
    facts: Meta,
    shape: tuple[int, int, int, int],
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
) -> None:
    """Writes image.npy and label.npy beside `meta`, and then that; says so, with a progress bar.

    Args:
      shape: [n, h, w, c] of all images.
      batches: (uint8 images [b, h, w, c], their labels int [b]), in order; asked for when there is space.

    Raises:
      ConfigError: too little space.
      ValueError: there are not n examples.
    """
    n, what, num_bytes = shape[0], f"{facts.name} {facts.split}", math.prod(shape)
    _check_space(num_bytes + 4 * n, what, meta.parent)
    print(f"preparing {what}: {n:,} images, {bytes_text(num_bytes)}, once, in {meta.parent}")
    progress = Progress(n, unit="image", label=what, quiet=n < _FEW)
    with contextlib.closing(progress), replacing(meta.with_name("image.npy")) as temporary:
        label = _copy(batches, temporary, shape, progress)
    write_npy(meta.with_name("label.npy"), label)
    write_json(meta, facts.model_dump())


def read(meta: Path) -> Dataset:
    """Maps the prepared arrays of a split into memory.

    Raises:
      ValueError: they do not belong together; also as `read_json` and NumPy's reader.
    """
    facts = read_json(meta, Meta)
    image, label = np.load(meta.with_name("image.npy"), mmap_mode="r"), np.load(meta.with_name("label.npy"))
    if image.dtype != np.uint8 or image.ndim != 4 or label.shape != image.shape[:1]:
        raise ValueError("its arrays do not belong together")
    return Dataset(image, label, facts.num_classes, name=facts.name)


def batch_size(shape: tuple[int, int, int]) -> int:
    """Returns how many images [h, w, c] are read at a time."""
    return max(1, min(BATCH, BATCH_BYTES // math.prod(shape)))


def _check_space(num_bytes: int, what: str, folder: Path) -> None:
    """Checks that a disk has space for what is to be prepared.

    Raises:
      ConfigError: it has not.
    """
    if num_bytes > (free := shutil.disk_usage(folder).free):
        raise ConfigError(
            f"{what} takes {bytes_text(num_bytes)}, and '{folder}' has {bytes_text(free)} left; make room, "
            "or name another folder: GRADIENT_DYNAMICS_CACHE=DIR",
            "config.dataset",
        )


def _copy(
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    path: Path,
    shape: tuple[int, ...],
    progress: Progress,
) -> np.ndarray:
    """Writes the images of batches into an .npy file [n, h, w, c]; returns their labels, int32 [n]."""
    labels = []
    with path.open("wb") as file:  # no memory map: where a disk is full, the program would be killed
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for image, label in batches:
            file.write(np.ascontiguousarray(image, np.uint8))
            labels.append(np.asarray(label, np.int32))
            progress.advance(len(label))
            progress.show({})
    label = np.concatenate(labels)
    if len(label) != shape[0]:
        raise ValueError(f"{len(label)} examples instead of {shape[0]}")
    return label
