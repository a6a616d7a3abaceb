"""scikit-learn's 1,797 real handwritten digits, 8x8 and grey: they come with the package."""

import importlib.util
from pathlib import Path

import numpy as np

from lib.data import splits
from lib.data.dataset import Dataset

NAME = "digits"
_SIZES = {"train": 1_500, "test": 297}


def load(split: str) -> Dataset:
    """Loads uint8 images [n, 8, 8, 1] of 10 classes. Splits: train (1,500) and test (297).

    Raises:
      ConfigError: another split.
    """
    base, rows = splits.parse(split, _SIZES, NAME)
    pixels, labels = _read()
    # The set is ordered by writer: a fixed shuffle gives both splits the same writers.
    order = np.random.Generator(np.random.Philox(0)).permutation(len(labels))
    order = (order[: _SIZES["test"]] if base == "test" else order[_SIZES["test"] :])[rows]
    image = np.round(pixels * (255 / 16)).astype(np.uint8)[..., None]
    return Dataset(image[order], labels[order], 10, name=NAME)


def _read() -> tuple[np.ndarray, np.ndarray]:
    """Reads (pixels in 0 .. 16 [1797, 8, 8], int32 labels [1797]), in the order of scikit-learn's file.

    The file is read without importing scikit-learn, which takes two seconds.
    """
    package = Path(importlib.util.find_spec("sklearn").submodule_search_locations[0])
    table = np.loadtxt(package / "datasets" / "data" / "digits.csv.gz", np.int32, delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1]
