"""Arrays in NumPy's files, whole or absent."""

from pathlib import Path

import numpy as np

from lib.runtime.files import replacing


def write_npy(path: Path, array: np.ndarray) -> None:
    """Writes an array into an .npy file, through a temporary file: readers never see half of it.

    Raises:
      OSError: it cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)
