"""Any TFDS image-classification set as two arrays on disk, prepared once.

TensorFlow takes ten seconds to import and would take a GPU for itself, so it is imported only where a
split is read for the first time. Later runs memory-map the cached arrays and never see TensorFlow.
"""

import difflib
import hashlib
import os
import re
import socket
from pathlib import Path

import numpy as np

from lib.config import Section
from lib.data import digits, splits
from lib.data.dataset import Dataset
from lib.data.gaussian import SPECTRA
from lib.data.mixtures import MIXTURES
from lib.errors import ConfigError
from lib.runtime.cache import cache_dir, kept
from lib.runtime.files import replacing
from lib.runtime.json_files import read_json, write_json
from lib.tensorflow import tensorflow_datasets

_BUILT_IN = (digits.NAME, *MIXTURES, *SPECTRA)
_DATASET, _NAME = "config.dataset", "config.dataset.name"  # fields


def load(name: str, split: str, data_dir: str = "") -> Dataset:
    """Maps uint8 images [n, h, w, c] into memory; prepares them first where that was not done before.

    Args:
      name: of the TFDS set, for instance `mnist`, or `cifar10:3.0.2` for one version.
      split: a TFDS split, for instance `train` or `train[:45000]`.
      data_dir: of TFDS; empty for TFDS_DATA_DIR or TFDS's own default.

    Raises:
      ConfigError: unknown set or split, images of several sizes, or data that is not here.
    """
    if not re.fullmatch(r"[\w./:+-]{1,120}", name):
        raise _unknown_set(name, [])
    root = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    folder = _cache_folder(root, name, split)
    if folder is None:
        _builder(name, root)  # downloads it
        folder = _cache_folder(root, name, split)
    # Written last, it says that the arrays beside it are whole.
    return kept(folder / "meta.json", _read, lambda meta: _prepare(_builder(name, root), name, split, meta))


class _Meta(Section):
    """Describes a split besides its arrays."""

    name: str
    version: str
    split: str
    num_classes: int


def _read(meta: Path) -> Dataset:
    """Maps the prepared arrays of a split into memory.

    Raises:
      ValueError: they do not belong together; also as `read_json` and NumPy's reader.
    """
    facts = read_json(meta, _Meta)
    image, label = np.load(meta.with_name("image.npy"), mmap_mode="r"), np.load(meta.with_name("label.npy"))
    if image.dtype != np.uint8 or image.ndim != 4 or label.shape != image.shape[:1]:
        raise ValueError("its arrays do not belong together")
    return Dataset(image, label, facts.num_classes, name=facts.name)


def _cache_folder(root: Path, name: str, split: str) -> Path | None:
    """Returns where the arrays of a split are kept; None if TFDS holds nothing of that name.

    The key is the set's name, the split, and a digest of where TFDS keeps the set and of the names, sizes
    and times of its files: a set that is written again is read again.
    """
    set_name = name.split(":")[0]
    files = sorted(p for p in (root / set_name).rglob("*") if p.is_file())
    if not any(p.name == "dataset_info.json" for p in files):
        return None
    digest = hashlib.sha256(str((root.resolve(), name)).encode())
    for file in files:
        stat = file.stat()
        digest.update(str((file.relative_to(root), stat.st_size, stat.st_mtime_ns)).encode())
    key = f"{name}-{split}-{digest.hexdigest()[:16]}"
    return cache_dir() / "datasets" / key.replace("/", "_").replace(":", "_")


def _builder(name: str, root: Path):
    """Returns the TFDS builder of an image-classification set, downloaded if TFDS can.

    Raises:
      ConfigError: an unknown set, one of other data, or one that is not here.
    """
    tfds = tensorflow_datasets()
    try:
        builder = tfds.builder(name, data_dir=root)
    except tfds.core.DatasetNotFoundError as error:
        raise _unknown_set(name, tfds.list_builders(with_community_datasets=False)) from error
    except Exception as error:  # TFDS raises many kinds here: bad versions, bad configs, bad files
        raise ConfigError(f"TFDS cannot use '{name}': {_first_line(error)}", _NAME) from error
    if builder.name != name.split(":")[0].split("/")[0]:  # TFDS takes CamelCase too; folders are snake_case
        raise ConfigError(f"unknown name '{name}'; did you mean '{builder.name}'?", _NAME)
    features = builder.info.features or {}
    if "image" not in features or "label" not in features or None in features["image"].shape:
        raise ConfigError(f"'{name}' is no image-classification set with images of one size", _NAME)
    if not builder.info.splits:
        _download(builder, name, root)
    return builder


def _unknown_set(name: str, known: list[str]) -> ConfigError:
    """Returns the error of a name that is none of a built-in set or of TFDS's known ones."""
    close = difflib.get_close_matches(name, [*_BUILT_IN, *known], n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    built_in = ", ".join(_BUILT_IN)
    return ConfigError(f"no set '{name}'{hint} (known: {built_in}, and TFDS's image sets)", _NAME)


def _download(builder, name: str, root: Path) -> None:
    """Asks TFDS to download a set into its folder.

    Raises:
      ConfigError: it cannot.
    """
    print(f"'{name}' is not in '{root}': asking TFDS to download it")
    try:
        _check_network()
        builder.download_and_prepare()
    except Exception as error:  # no network, no space, a manual download: TFDS says which
        raise ConfigError(
            f"'{name}' is not in '{root}' and cannot be downloaded ({_first_line(error)}); "
            "set TFDS_DATA_DIR or config.dataset.data_dir to a folder that holds it, "
            "or prepare it on a machine with network and carry that folder over",
            _DATASET,
        ) from error


def _prepare(builder, name: str, split: str, meta: Path) -> None:
    """Writes image.npy and label.npy beside `meta`, and then that.

    Raises:
      ConfigError: an unknown split, or damaged files.
    """
    try:
        size = builder.info.splits[split].num_examples
        batches = builder.as_dataset(split=split, batch_size=1024, shuffle_files=False)
    except (ValueError, KeyError, AssertionError) as error:
        raise splits.unknown(f"'{name}'", split, builder.info.splits) from error
    print(f"preparing {name} {split}: {size:,} images, once, in {meta.parent}")
    features = builder.info.features
    try:
        with replacing(meta.with_name("image.npy")) as temporary:
            label = _copy(batches, temporary, (size, *features["image"].shape))
    except OSError:
        raise
    except Exception as error:  # TensorFlow has a class for every kind of damage
        raise ConfigError(
            f"the files of '{name}' in '{builder.data_dir}' are damaged ({_first_line(error)}); "
            "prepare the set again",
            _DATASET,
        ) from error
    with replacing(meta.with_name("label.npy")) as temporary, temporary.open("wb") as file:
        np.save(file, label)
    num_classes = features["label"].num_classes
    facts = _Meta(name=name, version=str(builder.version), split=split, num_classes=num_classes)
    write_json(meta, facts.model_dump())


def _copy(batches, path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Writes the images of TFDS's batches into an .npy file [n, h, w, c]; returns their labels, int32 [n].

    Raises:
      ValueError: there are not n examples.
      Exception: TensorFlow's, where the files are damaged.
    """
    label = []
    with path.open("wb") as file:  # no memory map: where a disk is full, the program would be killed
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for batch in tensorflow_datasets().as_numpy(batches):
            file.write(np.ascontiguousarray(batch["image"], np.uint8))
            label.append(batch["label"].astype(np.int32))
    label = np.concatenate(label)
    if len(label) != shape[0]:
        raise ValueError(f"{len(label)} examples instead of {shape[0]}")
    return label


def _check_network() -> None:
    """Checks that there is a network; raises an OSError at once where TFDS would retry for minutes."""
    if not any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy")):
        socket.getaddrinfo("storage.googleapis.com", 443)


def _first_line(error: Exception) -> str:
    """Returns an error's class and the first line of its text."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
