"""Matrices on disk, memory-mapped: NumPy's .npy files, and the arrays of its .npz archives."""

import difflib
import hashlib
import re
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from lib.data import splits
from lib.errors import ConfigError, nearest
from lib.runtime.cache import cache_dir
from lib.runtime.files import replacing

_NAME = re.compile(r"(.+?\.np[yz])(?::(.+))?")
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_DAMAGE = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)


def is_matrix(name: str) -> bool:
    """Whether a set's name is a file's: FILE.npy, FILE.npz or FILE.npz:KEY."""
    return _NAME.fullmatch(name) is not None


def load(name: str, split: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Rows [n, d] of any real type, memory-mapped, labels 0 [n], and 1. The only split is train.

    Raises:
      ConfigError: no such file, array or split, or no matrix of real numbers.
    """
    text, key = _NAME.fullmatch(name).groups()
    path = Path(text).expanduser()
    if not path.is_file():
        close = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.np[yz]")], n=1)
        hint = f"did you mean '{path.with_name(close[0])}'?" if close else f"paths begin at '{Path.cwd()}'"
        raise ConfigError(f"config.dataset.name: no file '{path}'; {hint}")
    try:
        image = np.load(_plain_file(path, key, name), mmap_mode="r")
    except ConfigError:
        raise
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:200]
        hint = "" if isinstance(error, OSError) else "; save it again"
        raise ConfigError(f"config.dataset.name: cannot read '{name}': {reason}{hint}") from error
    _, rows = splits.parse(split, {"train": len(image)}, name)
    return image[rows], np.zeros(len(image[rows]), np.int32), 1


def _plain_file(path: Path, key: str | None, name: str) -> Path:
    """The .npy file of a matrix: of an archive, whose arrays cannot be mapped, one in the cache."""
    if path.suffix == ".npy":
        if key:
            raise ConfigError(f"config.dataset.name: '{path}' holds one array; leave out ':{key}'")
        with path.open("rb") as file:
            _check_matrix(file, name)
        return path
    with zipfile.ZipFile(path) as archive:
        keys = [member.removesuffix(".npy") for member in archive.namelist() if member.endswith(".npy")]
        if key is None and len(keys) == 1:
            key = keys[0]
        if key is None:
            raise ConfigError(
                f"config.dataset.name: '{path}' holds {len(keys)} arrays ({', '.join(keys)}); "
                "name one: FILE.npz:KEY"
            )
        if key not in keys:
            raise ConfigError(f"config.dataset.name: '{path}' holds no array '{key}'{nearest(key, keys)}")
        with archive.open(f"{key}.npy") as file:
            _check_matrix(file, name)
        return _unpacked(archive, path, key)


def _check_matrix(file: IO[bytes], name: str) -> None:
    """Reads an array's header, and raises a ConfigError for what is no matrix of real numbers."""
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"format {version} is not for numbers")
    shape, _, dtype = _HEADERS[version](file)
    if dtype.kind not in "buif":
        raise ConfigError(f"config.dataset.name: '{name}' is of type {dtype}; use one of real numbers")
    if len(shape) != 2 or not all(shape):
        raise ConfigError(
            f"config.dataset.name: '{name}' has shape {shape}; use a matrix with one example in each row"
        )


def _unpacked(archive: zipfile.ZipFile, path: Path, key: str) -> Path:
    """The cached file of an archive's array; an archive that is written again is unpacked again."""
    stat = path.stat()
    identity = repr((str(path.resolve()), stat.st_size, stat.st_mtime_ns, key))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    target = cache_dir() / "datasets" / f"{path.stem}-{digest}.npy"
    if not target.is_file():
        print(f"unpacking '{key}' of {path}, once, to {target}")
        target.parent.mkdir(exist_ok=True)
        with (
            replacing(target) as temporary,
            archive.open(f"{key}.npy") as source,
            temporary.open("wb") as copy,
        ):
            shutil.copyfileobj(source, copy, 2**20)
    return target
