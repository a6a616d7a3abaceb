"""Arrays on disk, memory-mapped: NumPy's .npy files, and the arrays of its .npz archives.

Matrices [n, d] of any real type are points. uint8 arrays [n, h, w] and [n, h, w, c] are images, of classes
where the archive has their labels too, as `image` and `label`, `images` and `labels`, or `x` and `y`.
"""

import difflib
import hashlib
import io
import math
import re
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from lib.data import splits
from lib.data.dataset import Dataset, unlabelled
from lib.errors import ConfigError, nearest
from lib.runtime.cache import cache_dir, kept

_FIELD = "config.dataset.name"
_NAME = re.compile(r"(.+?\.np[yz])(?::(.+))?")
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_DAMAGE = (OSError, EOFError, ValueError, TypeError, ArithmeticError, RuntimeError)
_DAMAGE += (zipfile.BadZipFile, zlib.error)
_PAIRS = {"image": "label", "images": "labels", "x": "y"}  # of images and labels in an archive


def is_matrix(name: str) -> bool:
    """Tells whether a set's name is a file's: FILE.npy, FILE.npz or FILE.npz:KEY."""
    return _NAME.fullmatch(name) is not None


def load(name: str, split: str) -> Dataset:
    """Maps rows of a file's array into memory. The only split is train.

    Raises:
      ConfigError: no such file, array or split, neither a matrix of real numbers nor images, or labels that
        do not fit.
    """
    text, key = _NAME.fullmatch(name).groups()
    path = Path(text).expanduser()
    if path.is_dir():
        raise ConfigError(f"'{path}' is a folder", _FIELD)
    if not path.is_file():
        close = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.np[yz]")], n=1)
        hint = f"did you mean '{path.with_name(close[0])}'?" if close else f"paths begin at '{Path.cwd()}'"
        raise ConfigError(f"no file '{path}'; {hint}", _FIELD)
    try:
        image, label = _mapped(path, key, name)
    except ConfigError:
        raise
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:200]
        hint = "" if isinstance(error, OSError) else "; save it again"
        raise ConfigError(f"cannot read '{name}': {reason}{hint}", _FIELD) from error
    image = image[..., None] if image.ndim == 3 else image
    _, rows = splits.parse(split, {"train": len(image)}, name)
    if label is None:
        return unlabelled(image[rows], name)
    return Dataset(image[rows], label[rows], int(label.max()) + 1, name=name)


def _mapped(path: Path, key: str | None, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Maps the array of a file: of an archive, whose arrays cannot be mapped, its copy in the cache.

    Returns:
      (the array, its labels or None).
    """
    if path.suffix == ".npy":
        if key:
            raise ConfigError(f"'{path}' holds one array; leave out ':{key}'", _FIELD)
        with path.open("rb") as file:
            shape, dtype = _check_matrix(file, name)
        if math.prod(map(int, shape)) * dtype.itemsize > path.stat().st_size:
            raise ValueError(f"it is too short for {' x '.join(map(str, shape))} numbers")
        return np.load(path, mmap_mode="r"), None
    with zipfile.ZipFile(path) as archive:
        keys = [member.removesuffix(".npy") for member in archive.namelist() if member.endswith(".npy")]
        images = [image for image, label in _PAIRS.items() if image in keys and label in keys]
        if key is None and len(images or keys) == 1:
            (key,) = images or keys
        if key is None:
            text = f"'{path}' holds {len(keys)} arrays ({', '.join(keys)}); name one: FILE.npz:KEY"
            raise ConfigError(text, _FIELD)
        if key not in keys:
            raise ConfigError(f"'{path}' holds no array '{key}'{nearest(key, keys)}", _FIELD)
        with archive.open(f"{key}.npy") as file:
            shape, dtype = _check_matrix(file, name)
        label = _labels(archive, _PAIRS[key], shape[0]) if key in images and len(shape) > 2 else None
        return _unpacked(archive, path, key, shape, dtype), label


def _labels(archive: zipfile.ZipFile, key: str, n: int) -> np.ndarray:
    """Reads the labels of an archive's images, int32 [n].

    Raises:
      ConfigError: they are no classes 0, 1, .. of n images.
    """
    with archive.open(f"{key}.npy") as file:
        label = np.load(io.BytesIO(file.read()))
    if label.shape != (n,) or label.dtype.kind not in "iu" or label.min() < 0:
        raise ConfigError(
            f"its '{key}' has shape {label.shape} and type {label.dtype}; use one integer from 0 on for "
            f"each of the {n:,} images",
            _FIELD,
        )
    return label.astype(np.int32)


def _check_matrix(file: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Checks by its header that an array is a matrix or images; returns its shape and type.

    Raises:
      ConfigError: it is not.
      ValueError: the file is in no format for numbers.
    """
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"format {version} is not for numbers")
    shape, _, dtype = _HEADERS[version](file)
    if dtype.kind not in "buif":
        raise ConfigError(f"'{name}' is of type {dtype}; use one of real numbers", _FIELD)
    is_images = dtype == np.uint8 and len(shape) in (3, 4)
    if not (len(shape) == 2 or is_images) or min(shape) < 1:
        text = (
            f"'{name}' has shape {shape}; use a matrix with one example in each row, or uint8 images "
            "[n, h, w, c]"
        )
        raise ConfigError(text, _FIELD)
    return shape, dtype


def _unpacked(
    archive: zipfile.ZipFile, path: Path, key: str, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """Maps the cached copy of an archive's array, of a shape and a type.

    An archive that is written again is unpacked again.
    """
    stat = path.stat()
    identity = repr((str(path.resolve()), stat.st_size, stat.st_mtime_ns, key))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    target = cache_dir() / "datasets" / f"{path.stem}-{digest}.npy"

    def unpack(file: Path) -> None:
        print(f"unpacking '{key}' of {path}, once, to {target}")
        with archive.open(f"{key}.npy") as source, file.open("wb") as copy:
            shutil.copyfileobj(source, copy, 2**20)

    def read(file: Path) -> np.ndarray:
        array = np.load(file, mmap_mode="r")
        if (array.shape, array.dtype) != (shape, dtype):
            raise ValueError("another array")
        return array

    return kept(target, read, unpack)
