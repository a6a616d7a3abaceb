"""TensorFlow Datasets: where its sets are, their builders, and where what is made of them is kept.

TensorFlow takes ten seconds to import and would take a GPU for itself, so it is imported only where a set
is read for the first time.
"""

import contextlib
import difflib
import hashlib
import os
import re
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lib.data import digits
from lib.data.gaussian import SPECTRA
from lib.data.mixtures import MIXTURES
from lib.errors import ConfigError
from lib.runtime.cache import cache_dir
from lib.tensorflow import tensorflow_datasets

_BUILT_IN = (digits.NAME, *MIXTURES, *SPECTRA)
DATASET, NAME = "config.dataset", "config.dataset.name"  # fields


def root(data_dir: str) -> Path:
    """Returns TFDS's folder: of the config, of TFDS_DATA_DIR, or TFDS's own default."""
    return Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def files(name: str, root: Path) -> list[Path]:
    """Lists the files in which TFDS's folder holds a set; none where it does not.

    Raises:
      ConfigError: no set can have that name.
    """
    if not re.fullmatch(r"[\w./:+-]{1,120}", name):
        raise _unknown_set(name, [])
    found = sorted(p for p in (root / name.split(":")[0]).rglob("*") if p.is_file())
    return found if any(p.name == "dataset_info.json" for p in found) else []


def cache_folder(name: str, root: Path, held: Sequence[Path], what: str) -> Path:
    """Returns where the arrays of a set are kept.

    The key is the set's name, `what`, and a digest of where TFDS keeps the set and of the names, sizes and
    times of its files: a set that is written again is read again.

    Args:
      name: of the set, for instance `mnist`, or `cifar10:3.0.2` for one version.
      root: TFDS's folder.
      held: the set's `files`.
      what: of the set: a split, or the arguments with which it is prepared.
    """
    digest = hashlib.sha256(str((root.resolve(), name)).encode())
    for file in held:
        stat = file.stat()
        digest.update(str((file.relative_to(root), stat.st_size, stat.st_mtime_ns)).encode())
    key = f"{name}-{what}-{digest.hexdigest()[:16]}"
    return cache_dir() / "datasets" / key.replace("/", "_").replace(":", "_")


def builder(name: str, root: Path) -> Any:
    """Returns the TFDS builder of a set that is in TFDS's folder; `download` puts it there.

    Raises:
      ConfigError: an unknown set, or one that TFDS cannot use.
    """
    tfds = tensorflow_datasets()
    try:
        builder = tfds.builder(name, data_dir=root)
    except tfds.core.DatasetNotFoundError as error:
        raise _unknown_set(name, tfds.list_builders(with_community_datasets=False)) from error
    except Exception as error:  # TFDS raises many kinds here: bad versions, bad configs, bad files
        raise ConfigError(f"TFDS cannot use '{name}': {_first_line(error)}", NAME) from error
    if builder.name != name.split(":")[0].split("/")[0]:  # TFDS takes CamelCase too; folders are snake_case
        raise ConfigError(f"unknown name '{name}'; did you mean '{builder.name}'?", NAME)
    return builder


def download(builder: Any, name: str, root: Path) -> None:
    """Asks TFDS to download a set into its folder, if it is not there.

    Raises:
      ConfigError: it cannot.
    """
    if builder.info.splits:
        return
    print(f"'{name}' is not in '{root}': asking TFDS to download it")
    try:
        _check_network()
        builder.download_and_prepare()
    except Exception as error:  # no network, no space, a manual download: TFDS says which
        raise ConfigError(
            f"'{name}' is not in '{root}' and cannot be downloaded ({_first_line(error)}); "
            "set TFDS_DATA_DIR or config.dataset.data_dir to a folder that holds it, "
            "or prepare it on a machine with network and carry that folder over",
            DATASET,
        ) from error


@contextlib.contextmanager
def reading(builder: Any, name: str) -> Iterator[None]:
    """Says of what TensorFlow raises in a block that reads a set's files that they are damaged.

    Raises:
      ConfigError: they are. Full disks and the block's own errors stay what they are.
    """
    try:
        yield
    except (OSError, ConfigError):
        raise
    except Exception as error:  # TensorFlow has a class for every kind of damage
        raise ConfigError(
            f"the files of '{name}' in '{builder.data_dir}' are damaged ({_first_line(error)}); "
            "prepare the set again",
            DATASET,
        ) from error


def _unknown_set(name: str, known: list[str]) -> ConfigError:
    """Returns the error of a name that is none of a built-in set or of TFDS's known ones."""
    close = difflib.get_close_matches(name, [*_BUILT_IN, *known], n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    built_in = ", ".join(_BUILT_IN)
    return ConfigError(f"no set '{name}'{hint} (known: {built_in}, snli, and TFDS's image sets)", NAME)


def _check_network() -> None:
    """Checks that there is a network; raises an OSError at once where TFDS would retry for minutes."""
    if not any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy")):
        socket.getaddrinfo("storage.googleapis.com", 443)


def _first_line(error: Exception) -> str:
    """Returns an error's class and the first line of its text."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
