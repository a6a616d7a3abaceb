"""Any TFDS image-classification set as two arrays on disk, prepared once.

Later runs memory-map the cached arrays and never see TensorFlow.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.config import validate
from lib.data import image_arrays, tfds, tfds_arrays
from lib.data.dataset import Dataset
from lib.data.square_images import Arguments
from lib.errors import ConfigError
from lib.runtime.cache import kept

_KWARGS = "config.dataset.kwargs"


def load(name: str, split: str, data_dir: str = "", kwargs: Mapping[str, Any] | None = None) -> Dataset:
    """Maps uint8 images [n, h, w, c] into memory; prepares them first where that was not done before.

    Args:
      name: of the TFDS set, for instance `mnist`, or `cifar10:3.0.2` for one version.
      split: a TFDS split, for instance `train` or `train[:45000]`; `train[:]` is the whole one.
      data_dir: of TFDS; empty for TFDS_DATA_DIR or TFDS's own default.
      kwargs: the fields of `square_images.Arguments`.

    Raises:
      ConfigError: unknown set, split or argument, images of several sizes without `size`, data that is not
        here, or too little space for the arrays.
    """
    root = tfds.root(data_dir)
    split = split.replace("[:]", "")  # a whole split, which TFDS does not take in this form
    files = tfds.files(name, root)
    if not files:
        _find(name, root)  # of two mistakes, an unknown name is the one to report
    arguments = validate(Arguments, kwargs or {}, _KWARGS)
    if not files:
        _builder(name, root, arguments)  # downloads it
        files = tfds.files(name, root)

    def make(meta: Path) -> None:
        tfds_arrays.prepare(_builder(name, root, arguments), name, split, arguments, meta)

    chosen = f"-size{arguments.size}-resize{arguments.shorter_side}" if arguments.size else ""
    # Written last, it says that the arrays beside it are whole.
    return kept(tfds.cache_folder(name, root, files, split + chosen) / "meta.json", image_arrays.read, make)


def _builder(name: str, root: Path, arguments: Arguments) -> Any:
    """Returns the TFDS builder of an image-classification set, downloaded if TFDS can.

    Raises:
      ConfigError: as `_find`; images of several sizes and none chosen; or the set is not here.
    """
    builder = _find(name, root)
    if None in arguments.shape(builder.info.features["image"].shape):
        raise ConfigError(
            f"the images of '{name}' have several sizes; set this to the side of the square that is kept "
            "of each, such as 224",
            f"{_KWARGS}.size",
        )
    tfds.download(builder, name, root)
    return builder


def _find(name: str, root: Path) -> Any:
    """Returns the TFDS builder of an image-classification set, which may not be here.

    Raises:
      ConfigError: an unknown set, or one of other data.
    """
    builder = tfds.builder(name, root)
    features = builder.info.features or {}
    if "image" not in features or "label" not in features or features["image"].shape[-1] is None:
        raise ConfigError(f"'{name}' is no image-classification set", tfds.NAME)
    return builder
