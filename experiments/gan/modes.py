"""Which modes of a mixture of Gaussians a generator has found.

Srivastava et al., 'VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning', NeurIPS
2017: a sample is of high quality if it lies within three standard deviations of a mode. There, one such
sample captures the mode; here it takes a quarter of a fair share of all samples, 1/(4k) for k modes, so
that the count does not grow with the number of samples.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lib.data.distributions import Mixture
from lib.pictures.artefacts import Points

_STDS = 3.0
_SHARES = "mode_shares"  # the array metric that the scores are made of


def near(points: jax.Array, mixture: Mixture) -> jax.Array:
    """Tells whether each of the points [n, 2] is within three standard deviations of each mode: [n, k]."""
    squared = jnp.sum((points[:, None] - jnp.asarray(mixture.means)[None]) ** 2, -1)
    return squared <= (_STDS * mixture.std) ** 2


def sums(points: jax.Array, mask: jax.Array, mixture: Mixture) -> dict[str, jax.Array]:
    """Returns {"mode_shares": number of points at each mode [k]}, where mask [n] is 1."""
    return {_SHARES: jnp.sum(mask[:, None] * near(points, mixture), 0)}


def summary(means: Mapping[str, Any]) -> dict[str, Any]:
    """Turns the share of all samples at each mode into `captured_modes` and `high_quality`.

    Of real points, 1 - exp(-9/2) = 98.9% are of high quality.
    """
    means = dict(means)
    shares = means.pop(_SHARES)
    captured = np.sum(shares >= 1 / (4 * len(shares)))
    return {"captured_modes": captured, "high_quality": shares.sum(), **means}


def picture(points: jax.Array, mixture: Mixture) -> Points:
    """Returns the scatter of points [n, 2] around the modes."""
    return Points(points, jnp.asarray(mixture.means))
