"""The arrays of a split of a TFDS image set, written once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lib.data import image_arrays, splits, square_images, tfds
from lib.data.square_images import Arguments
from lib.tensorflow import tensorflow, tensorflow_datasets


def prepare(builder, name: str, split: str, arguments: Arguments, meta: Path) -> None:
    """Writes the arrays of a split beside `meta`, and then that.

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
    facts = image_arrays.Meta(
        name=name, version=str(builder.version), split=split, num_classes=features["label"].num_classes
    )
    with tfds.reading(builder, name):
        image_arrays.prepare(meta, facts, (n, *shape), _batches(examples, arguments, shape))


def _batches(
    examples, arguments: Arguments, shape: tuple[int, int, int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (images of one shape, labels) of TFDS's examples, in their order.

    Raises:
      Exception: TensorFlow's, where the files are damaged.
    """

    def example_of_one_shape(example) -> dict[str, Any]:
        return {"image": square_images.cut(example["image"], arguments), "label": example["label"]}

    parallel = tensorflow().data.AUTOTUNE
    examples = examples.map(example_of_one_shape, num_parallel_calls=parallel, deterministic=True)
    batches = examples.batch(image_arrays.batch_size(shape)).prefetch(1)
    for batch in tensorflow_datasets().as_numpy(batches):
        yield batch["image"], batch["label"]
