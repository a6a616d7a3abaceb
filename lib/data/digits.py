"""scikit-learn's 1,797 real handwritten digits, 8x8 and grey: they come with the package."""

import numpy as np

from lib.data import splits

_SIZES = {"train": 1_500, "test": 297}


def load(split: str) -> tuple[np.ndarray, np.ndarray, int]:
    """uint8 images [n, 8, 8, 1], int32 labels [n], 10. Splits: train (1,500) and test (297).

    Raises:
      ConfigError: another split.
    """
    base, rows = splits.parse(split, _SIZES, "digits")
    from sklearn import datasets  # takes two seconds to import

    bunch = datasets.load_digits()
    # The set is ordered by writer: a fixed shuffle gives both splits the same writers.
    order = np.random.Generator(np.random.Philox(0)).permutation(len(bunch.target))
    order = (order[: _SIZES["test"]] if base == "test" else order[_SIZES["test"] :])[rows]
    image = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    return image[order], bunch.target.astype(np.int32)[order], 10
