"""The principal components of a set by a dense eigensolver: what iterative methods are measured against."""

import hashlib
import math
import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.linalg

from lib.data.dataset import Dataset
from lib.data.moments import moments
from lib.errors import ConfigError
from lib.runtime.cache import cache_dir
from lib.runtime.files import replacing

LARGEST_D = 4096
_QUIET_WORK = 5e10  # multiplications; more take seconds


class Spectrum(NamedTuple):
    """Of M = mean((x - c)(x - c)^T) about a centre c: the covariance, where c is the mean.

    Attributes:
      eigenvalues: the m largest of M, the largest first, [m]; None where d is too large to know them.
      eigenvectors: theirs, as rows of norm 1, [m, d]; None with the eigenvalues.
      mean: of the rows, [d], whatever the centre.
      total_variance: the sum of all d eigenvalues.
    """

    eigenvalues: np.ndarray | None
    eigenvectors: np.ndarray | None
    mean: np.ndarray
    total_variance: float

    def top(self, m: int) -> "Spectrum":
        """Only the first m pairs."""
        if self.eigenvalues is None:
            return self
        return self._replace(eigenvalues=self.eigenvalues[:m], eigenvectors=self.eigenvectors[:m])


def exact_spectrum(
    dataset: Dataset, k: int, centre: np.ndarray | None = None, largest_d: int = LARGEST_D
) -> Spectrum:
    """The m = min(k + 1, d) leading pairs in float64; the one after the k-th shows the gap.

    Of a set with a `source` and no centre elsewhere this is the source's truth. Else the set (of a source: its
    sample) is read once, and the answer cached.

    Args:
      dataset: rows [n, d], flattened and scaled by `lib.data.pipeline.to_rows`.
      k: how many pairs are wanted.
      centre: what is taken off every row, [d]; None: the mean.
      largest_d: where d is larger, there are no eigenvalues, only the mean and the total variance.

    Raises:
      ConfigError: the set holds a number that is not finite.
    """
    d = math.prod(dataset.image_shape)
    if dataset.source and (centre is None or not centre.any()):
        values, vectors = dataset.source
        return Spectrum(values, vectors, np.zeros(d), float(values.sum())).top(k + 1)
    m = min(k + 1, d) if d <= largest_d else 0
    about = hashlib.blake2b(b"" if centre is None else centre.astype(float).tobytes(), digest_size=8)
    file = cache_dir() / "spectra" / f"{_digest(dataset)}-{about.hexdigest()}{'' if m else '-mean'}.npz"
    spectrum = _read(file)
    if spectrum is None or (m and len(spectrum.eigenvalues) < m):
        spectrum = _solve(dataset, m, centre)
        _write(file, spectrum)
    return spectrum.top(m)


def spectrum_for_training(dataset: Dataset, *args, **kwargs) -> Spectrum:
    """`exact_spectrum` of a set whose components batches, which are float32, can show.

    Raises:
      ConfigError: also where rows differ from the centre by no more than float32's rounding.
    """
    spectrum = exact_spectrum(dataset, *args, **kwargs)
    if spectrum.total_variance <= (np.finfo(np.float32).eps * np.linalg.norm(spectrum.mean)) ** 2:
        raise ConfigError(
            f"config.dataset.name: the rows of '{dataset.name}' do not differ from their centre by more than "
            "float32's rounding; use others"
        )
    return spectrum


def _solve(dataset: Dataset, m: int, centre: np.ndarray | None) -> Spectrum:
    n, d = dataset.size, math.prod(dataset.image_shape)
    if n * d * (d if m else 10) + 4 * d**3 * bool(m) > _QUIET_WORK:
        what = "exact spectrum" if m else "variance"
        print(f"computing the {what} of {dataset.name}, {n:,} x {d:,}, once", flush=True)
    found = moments(dataset, with_covariance=m > 0)
    off = np.zeros(d) if centre is None else found.mean - centre
    total = found.total_variance + float(off @ off)
    if not m:
        return Spectrum(None, None, found.mean, total)
    matrix = found.covariance + np.outer(off, off)
    values, vectors = scipy.linalg.eigh(matrix, subset_by_index=[d - m, d - 1], overwrite_a=True)
    return Spectrum(values[::-1], vectors.T[::-1], found.mean, total)


def _digest(dataset: Dataset) -> str:
    """Names the rows of a set: by file and place if they are mapped from a file, else by their bytes."""
    image = dataset.image
    digest = hashlib.blake2b(repr((image.shape, image.dtype.str)).encode(), digest_size=16)
    if isinstance(image, np.memmap):
        whole = image
        while isinstance(whole.base, np.ndarray):
            whole = whole.base
        stat = os.stat(image.filename)
        place = (image.ctypes.data - whole.ctypes.data, image.strides)
        digest.update(repr((str(image.filename), stat.st_size, stat.st_mtime_ns, place)).encode())
    else:
        for row in range(0, len(image), 1024):
            digest.update(np.ascontiguousarray(image[row : row + 1024]))
    return digest.hexdigest()


def _write(file: Path, spectrum: Spectrum) -> None:
    file.parent.mkdir(exist_ok=True)
    arrays = {name: value for name, value in spectrum._asdict().items() if value is not None}
    with replacing(file) as temporary, temporary.open("wb") as opened:
        np.savez(opened, **arrays)


def _read(file: Path) -> Spectrum | None:
    """What `_write` wrote; None if there is no such file, or it is damaged."""
    try:
        with np.load(file, allow_pickle=False) as kept:
            pairs = (kept.get("eigenvalues"), kept.get("eigenvectors"))
            return Spectrum(*pairs, kept["mean"], float(kept["total_variance"]))
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        return None
