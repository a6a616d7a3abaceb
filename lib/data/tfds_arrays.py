"""The arrays of a split of a TFDS image set, written once, with a meta.json about them."""

import contextlib
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from lib.config import Section
from lib.data import splits, square_images, tfds
from lib.data.square_images import Arguments
from lib.errors import ConfigError
from lib.runtime.files import replacing
from lib.runtime.json_files import write_json
from lib.runtime.npy_files import write_npy
from lib.runtime.progress import Progress
from lib.tables import bytes_text
from lib.tensorflow import tensorflow, tensorflow_datasets

_BATCH, _BATCH_BYTES = 1024, 2**25  # a batch is read at a time, of at most so many images and bytes
_FEW = 5_000  # images that are prepared without a progress bar


class Meta(Section):
    """Describes a split besides its arrays."""

    name: str
    version: str
    split: str
    num_classes: int


def prepare(builder, name: str, split: str, arguments: Arguments, meta: Path) -> None:
    """Writes image.npy and label.npy beside `meta`, and then that.

    Raises:
      ConfigError: an unknown split, too little space, or damaged files.
    """
    try:
        n = builder.info.splits[split].num_examples
        examples = builder.as_dataset(split=split, shuffle_files=False)
    except (ValueError, KeyError, AssertionError) as error:
        raise splits.unknown(f"'{name}'", split, builder.info.splits) from error
    features = builder.info.features
    shape = arguments.shape(features["image"].shape)
    _check_space(n * (math.prod(shape) + 4), f"{name} {split}", meta.parent)
    size = bytes_text(n * math.prod(shape))
    print(f"preparing {name} {split}: {n:,} images, {size}, once, in {meta.parent}")
    progress = Progress(n, unit="image", label=f"{name} {split}", quiet=n < _FEW)
    path = meta.with_name("image.npy")
    with tfds.reading(builder, name), contextlib.closing(progress), replacing(path) as temporary:
        label = _copy(_batches(examples, arguments, shape), temporary, (n, *shape), progress)
    write_npy(meta.with_name("label.npy"), label)
    num_classes = features["label"].num_classes
    facts = Meta(name=name, version=str(builder.version), split=split, num_classes=num_classes)
    write_json(meta, facts.model_dump())


def _check_space(num_bytes: int, what: str, folder: Path) -> None:
    """Checks that a disk has space for what is to be prepared.

    Raises:
      ConfigError: it has not.
    """
    if num_bytes > (free := shutil.disk_usage(folder).free):
        raise ConfigError(
            f"{what} takes {bytes_text(num_bytes)}, and '{folder}' has {bytes_text(free)} left; make room, "
            "or name another folder: GRADIENT_DYNAMICS_CACHE=DIR",
            tfds.DATASET,
        )


def _batches(examples, arguments: Arguments, shape: tuple[int, ...]):
    """Returns batches {image, label} of TFDS's examples, in their order, with images of one shape."""

    def example_of_one_shape(example) -> dict[str, Any]:
        return {"image": square_images.cut(example["image"], arguments), "label": example["label"]}

    parallel = tensorflow().data.AUTOTUNE
    examples = examples.map(example_of_one_shape, num_parallel_calls=parallel, deterministic=True)
    return examples.batch(max(1, min(_BATCH, _BATCH_BYTES // math.prod(shape)))).prefetch(1)


def _copy(batches, path: Path, shape: tuple[int, ...], progress: Progress) -> np.ndarray:
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
            progress.advance(len(label[-1]))
            progress.show({})
    label = np.concatenate(label)
    if len(label) != shape[0]:
        raise ValueError(f"{len(label)} examples instead of {shape[0]}")
    return label
