"""Correlations, of CCA, or covariances, of PLS, from the Gram matrices of the variates of a set's rows.

`lib.eigengame.generalized.problems.TwoViews` makes them, [k, k], of the vectors (w_i, z_i): `cross`
w_i^T Cxy z_j, `first` w_i^T Bx w_j, `second` z_i^T By z_j.
"""

from collections.abc import Mapping

import numpy as np

_NO_VARIANCE = 1e-6  # of the largest variance: rounding's share in float32


def captured(grams: Mapping[str, np.ndarray]) -> float:
    """Returns the sum of all k correlations (pls: covariances) between the spans of the w_i and the z_i.

    Those of exact vectors over their sum is the 'proportion of correlations captured' of Ma, Lu, Foster,
    'Finding linear structure in large datasets with scalable canonical correlation analysis', ICML 2015.
    With G the grams [k, k], their squares are the eigenvalues of Gx^-1 Gxy Gy^-1 Gxy^T.
    """
    first, second = (
        np.linalg.pinv(grams[view], rcond=_NO_VARIANCE, hermitian=True) for view in ("first", "second")
    )
    squares = np.linalg.eigvals(first @ grams["cross"] @ second @ grams["cross"].T).real
    return float(np.sum(np.sqrt(np.maximum(squares, 0))))
