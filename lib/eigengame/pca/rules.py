"""EigenGame and its relatives as one scheme: a direction, any optimiser, a retraction.

v_i <- retract(v_i + optimiser(direction_i))
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lib.eigengame.ascent import normalized
from lib.eigengame.pca import directions
from lib.eigengame.pca.products import Products
from lib.eigengame.players import all_players, own_players


class PcaRule(NamedTuple):
    """How players move.

    Attributes:
      direction: `(Products) -> [l, d]`, to ascend.
      retract: `(own vectors [l, d]) -> [l, d]`, after the optimiser's step.
      on_sphere: whether each player lives on the unit sphere, so that its direction may be projected on it.
    """

    direction: Callable[[Products], jax.Array]
    retract: Callable[[jax.Array], jax.Array]
    on_sphere: bool = False


def unchanged(vectors: jax.Array) -> jax.Array:
    """Returns the vectors as they are."""
    return vectors


def orthonormalized(vectors: jax.Array) -> jax.Array:
    """Orthonormalises all players' vectors in their order; returns the own ones, [l, d].

    As Gram-Schmidt does, by a QR decomposition, whose arbitrary signs are replaced by the vectors'.
    """
    q, r = jnp.linalg.qr(all_players(vectors).T)
    basis = (q * jnp.where(jnp.diagonal(r) < 0, -1, 1)[None]).T
    return own_players(basis, len(vectors))


PCA_RULES = {
    "mu": PcaRule(directions.mu, normalized, on_sphere=True),
    "alpha": PcaRule(directions.alpha, normalized, on_sphere=True),
    "oja": PcaRule(directions.reward, orthonormalized),
    "krasulina": PcaRule(directions.krasulina, orthonormalized),
    "sanger": PcaRule(directions.sanger, unchanged),
}
