"""Mixtures of independent sources: data of which the answer of ICA is known.

    x = M s,    E[s] = 0,    E[s s^T] = I

Half of the sources are Laplace (excess kurtosis 3), half uniform (-1.2).
Columns of M have lengths that fall from 2 to 1, so that the eigenvalues kappa_i |m_i|^2 of
`lib.eigengame.generalized.problems.Ica` are apart.
"""

from typing import Annotated

import numpy as np
from pydantic import Field

from lib.config import Section
from lib.data import splits
from lib.data.dataset import Dataset, unlabelled

NAME = "mixed_sources"
KURTOSIS = {"laplace": 3.0, "uniform": -1.2}
_SIZES = {"train": 100_000, "test": 10_000}


class Arguments(Section):
    """`config.dataset.kwargs` of the mixture.

    Attributes:
      d: the number of sources, and of features.
      seed: of the mixing matrix and of the samples.
    """

    d: Annotated[int, Field(ge=2, le=256)] = 8
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


def mixing(arguments: Arguments) -> np.ndarray:
    """Returns M, float64 [d, d], whose first columns, (d + 1) // 2, are those of the Laplace sources."""
    d = arguments.d
    generator = np.random.Generator(np.random.Philox(key=[arguments.seed, 0]))
    columns = generator.standard_normal((d, d)) + 2 * np.eye(d)
    lengths = np.concatenate([np.linspace(2, 1, n) for n in _numbers(d)])
    return columns / np.linalg.norm(columns, axis=0) * lengths


def _numbers(d: int) -> tuple[int, int]:
    """Returns how many sources are Laplace, and how many uniform."""
    return (d + 1) // 2, d // 2


def load(split: str, arguments: Arguments) -> Dataset:
    """Draws float32 rows [n, d]; train (100,000) and test (10,000) share the mixing matrix alone.

    Raises:
      ConfigError: another split.
    """
    base, rows = splits.parse(split, _SIZES, NAME)
    key = [arguments.seed, 1 + list(_SIZES).index(base)]
    generator, n = np.random.Generator(np.random.Philox(key=key)), _SIZES[base]
    laplace, uniform = _numbers(arguments.d)
    sources = np.concatenate(
        [
            generator.laplace(scale=np.sqrt(0.5), size=(n, laplace)),
            generator.uniform(-np.sqrt(3), np.sqrt(3), size=(n, uniform)),
        ],
        1,
    )
    return unlabelled((sources @ mixing(arguments).T).astype(np.float32)[rows], NAME)
