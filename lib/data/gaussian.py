"""Normal distributions whose spectrum is known: data on which the answer of PCA is known.

    x = U diag(sqrt(lam)) z,    z ~ N(0, I_d),    E[x x^T] = U diag(lam) U^T

Gemp et al., 'EigenGame: PCA as a Nash Equilibrium', ICLR 2021, section 5: lam falls from 1000 to 1,
linearly or exponentially, in d = 50 dimensions.
"""

import functools
from typing import Annotated

import numpy as np
import pydantic
from pydantic import Field, PositiveFloat

from lib.config import Section
from lib.data import splits
from lib.data.dataset import Dataset, unlabelled
from lib.data.distributions import Normal
from lib.errors import ConfigError

_LARGEST_D = 8192  # an orthogonal matrix of that size takes a minute, and 0.5 GB
_SAMPLE = 10_000  # rows of a fixed sample ..
_SAMPLE_NUMBERS = 2**24  # .. if they hold at most so many numbers

# How the eigenvalues fall from the largest to the smallest: (largest, smallest, d) -> [d].
SPECTRA = {"linear_spectrum": np.linspace, "exponential_spectrum": np.geomspace}


class Arguments(Section):
    """`config.dataset.kwargs` of a spectrum.

    Attributes:
      d: the number of dimensions.
      largest: the first eigenvalue.
      smallest: the last one.
      seed: of the eigenvectors and of the fixed samples.
    """

    d: Annotated[int, Field(gt=0, le=_LARGEST_D)] = 50
    largest: PositiveFloat = 1000.0
    smallest: PositiveFloat = 1.0
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @pydantic.model_validator(mode="after")
    def _falls(self):
        if self.smallest > self.largest:
            raise ConfigError(
                f"{self.smallest:g} is above the largest eigenvalue; use one of at most {self.largest:g}",
                "smallest",
            )
        return self


@functools.lru_cache(maxsize=2)
def make(name: str, arguments: Arguments) -> Normal:
    """Returns the distribution of that name; the seed draws its eigenvectors, uniform over rotations."""
    from scipy.stats import ortho_group  # takes two seconds to import

    d = arguments.d
    generator = np.random.Generator(np.random.Philox(key=[arguments.seed, 0]))
    eigenvalues = SPECTRA[name](arguments.largest, arguments.smallest, d)
    return Normal(eigenvalues, ortho_group.rvs(d, random_state=generator))


def load(name: str, split: str, arguments: Arguments) -> Dataset:
    """Draws a fixed sample of float32 rows [n, d]; the whole of `train` has a source as well.

    `train` is drawn anew in every step, without end; `test`, and slices of either, are just that sample.

    Raises:
      ConfigError: another split.
    """
    n = min(_SAMPLE, _SAMPLE_NUMBERS // arguments.d)
    sizes = {"train": n, "test": n}
    base, rows = splits.parse(split, sizes, name)
    normal = make(name, arguments)
    generator = np.random.Generator(np.random.Philox(key=[arguments.seed, 1 + list(sizes).index(base)]))
    z = generator.standard_normal((n, arguments.d), dtype=np.float32)
    source = normal if split == "train" else None
    return unlabelled((z @ normal.factor)[rows], name, source)
