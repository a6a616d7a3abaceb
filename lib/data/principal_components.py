"""The principal components of a set by a dense eigensolver: what iterative methods are measured against."""

import hashlib
import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.data.dataset import Dataset
from lib.data.moments import moments
from lib.errors import ConfigError
from lib.runtime.cache import cache_dir, kept

LARGEST_D = 4096
_QUIET_WORK = 5e10  # multiplications; more take seconds


class PrincipalComponents(NamedTuple):
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

    def top(self, m: int) -> "PrincipalComponents":
        """Returns only the first m pairs."""
        if self.eigenvalues is None:
            return self
        return self._replace(eigenvalues=self.eigenvalues[:m], eigenvectors=self.eigenvectors[:m])

    def bottom(self, m: int) -> "PrincipalComponents":
        """Returns only the last m of all d pairs, the last one first."""
        if self.eigenvalues is None:
            return self
        return self._replace(
            eigenvalues=self.eigenvalues[::-1][:m], eigenvectors=self.eigenvectors[::-1][:m]
        )


def exact_pca(
    dataset: Dataset, k: int, centre: np.ndarray | None = None, largest_d: int = LARGEST_D
) -> PrincipalComponents:
    """Returns the m = min(k + 1, d) leading pairs in float64; the one after the k-th shows the gap.

    Of a set with a `source` and no centre elsewhere these are the source's own. Else the set (of a source:
    its sample) is read once, and the answer cached.

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
        return PrincipalComponents(values, vectors, np.zeros(d), float(values.sum())).top(k + 1)
    m = min(k + 1, d) if d <= largest_d else 0
    digest = hashlib.blake2b(b"" if centre is None else centre.astype(float).tobytes(), digest_size=8)
    name = f"{_digest(dataset)}-{digest.hexdigest()}{'' if m else '-mean'}.npz"

    def read(file: Path) -> PrincipalComponents | None:
        with np.load(file, allow_pickle=False) as saved:
            pairs = (saved["eigenvalues"], saved["eigenvectors"]) if m else (None, None)
            components = PrincipalComponents(*pairs, saved["mean"], float(saved["total_variance"]))
        if components.mean.shape != (d,) or (m and pairs[1].shape != (len(pairs[0]), d)):
            raise ValueError("components of another shape")
        return components if not m or len(pairs[0]) >= m else None

    def make(file: Path) -> None:
        components = _solve(dataset, m, centre)
        arrays = {name: value for name, value in components._asdict().items() if value is not None}
        with file.open("wb") as opened:
            np.savez(opened, **arrays)

    return kept(cache_dir() / "spectra" / name, read, make).top(m)


def exact_pca_for_training(dataset: Dataset, *args, **kwargs) -> PrincipalComponents:
    """Returns the result of `exact_pca`, if batches in float32 can show it.

    Raises:
      ConfigError: as `exact_pca`, or rows differ from the centre by no more than float32's rounding.
    """
    components = exact_pca(dataset, *args, **kwargs)
    if components.total_variance <= (np.finfo(np.float32).eps * np.linalg.norm(components.mean)) ** 2:
        raise ConfigError(
            f"the rows of '{dataset.name}' do not differ from their centre by more than float32's "
            "rounding; use others",
            "config.dataset.name",
        )
    return components


def _solve(dataset: Dataset, m: int, centre: np.ndarray | None) -> PrincipalComponents:
    """Computes the m leading pairs; the mean and the total variance alone where m is 0."""
    n, d = dataset.size, math.prod(dataset.image_shape)
    if n * d * (d if m else 10) + 4 * d**3 * bool(m) > _QUIET_WORK:
        what = "exact spectrum" if m else "variance"
        print(f"computing the {what} of {dataset.name}, {n:,} x {d:,}, once", flush=True)
    set_moments = moments(dataset, with_covariance=m > 0)
    mean = set_moments.mean
    offset = np.zeros(d) if centre is None else mean - centre
    total = set_moments.total_variance + float(offset @ offset)
    if not m:
        return PrincipalComponents(None, None, mean, total)
    matrix = set_moments.covariance + np.outer(offset, offset)
    from scipy.linalg import eigh  # here: a run that needs no scipy starts sooner

    values, vectors = eigh(matrix, subset_by_index=[d - m, d - 1], overwrite_a=True)
    return PrincipalComponents(values[::-1], vectors.T[::-1], mean, total)


def _digest(dataset: Dataset) -> str:
    """Returns a digest of the rows of a set: of file and place if they are mapped, else of their bytes."""
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
