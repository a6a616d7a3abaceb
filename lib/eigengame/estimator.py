"""Principal components by EigenGame, with the interface of scikit-learn's `PCA` and `IncrementalPCA`."""

import functools
import warnings
from numbers import Integral, Real

import jax
import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array, check_random_state, check_scalar
from sklearn.utils.extmath import svd_flip
from sklearn.utils.validation import check_is_fitted, validate_data

from lib.eigengame.pca import PCA_RULES, relative
from lib.errors import lookup
from lib.optimizers import Optimizer, make

SPHERE_RULES = {name: rule for name, rule in PCA_RULES.items() if rule.on_sphere}
FLOATS = (np.float64, np.float32)
_advance = jax.jit(relative.advance, static_argnums=(0, 1))


class EigenGamePCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Principal component analysis as a game of k players, one vector each.

    Players move as in Gemp et al., 'EigenGame Unloaded', ICLR 2022 (rule 'mu'), or 'EigenGame', ICLR 2021
    (rule 'alpha'), by gradient ascent on the unit sphere with Nesterov momentum. Each player's rate is
    relative to its own eigenvalue (`lib.eigengame.pca.relative`), so that data of any unit and most spectra
    need no tuning.

    float32 data are computed in float32, everything else in float64; JAX's configuration stays as it is.

    Vectors of nearly equal eigenvalues turn into place slowly, and the tolerance may stop them on the
    way: they then span the right space and explain nearly the right variance, but are mixtures of each
    other.

    Args:
      n_components: k; None: min(n_samples, n_features), of the first batch for `partial_fit`.
      rule: mu or alpha; alpha is biased by batches that are parts of the data, and many components over
        many orders of magnitude make it slow.
      learning_rate: relative to 1 / eigenvalue. With momentum 0.9, steps near the solution are stable
        below 4/3.
      momentum: Nesterov's, 0 .. 1.
      decay: step t has the rate learning_rate / (1 + decay t). Batches of all of X have no noise: their
        rates do not decay.
      batch_size: rows in a step of `fit`; None: all of X. With smaller batches the angle by which vectors
        turn in an epoch falls only as 1 / t: a `tol` of about 1e-2 suits them. `partial_fit` makes one step
        on all that it is given.
      max_iter: epochs after which `fit` ends with a ConvergenceWarning.
      tol: `fit` ends when no component that holds variance turns by more than this many radians in an
        epoch.
      random_state: seed of the first vectors and of the order of rows, as everywhere in scikit-learn.

    Attributes:
      components_: [k, d], orthonormal rows by decreasing variance; each one's largest entry is positive.
      explained_variance_: [k], the variance of X along them, with n - 1 in the denominator. After
        `partial_fit`: a running mean of the variances of batches along the vectors of the time.
      explained_variance_ratio_: [k], the same over the sum of all features' variances.
      mean_: [d], of all rows seen.
      n_components_, n_features_in_, n_samples_seen_: k, d and n.
      n_iter_: the number of epochs of `fit`.
    """

    def __init__(
        self,
        n_components=None,
        *,
        rule="mu",
        learning_rate=0.5,
        momentum=0.9,
        decay=0.1,
        batch_size=None,
        max_iter=1000,
        tol=1e-4,
        random_state=None,
    ):
        self.n_components = n_components
        self.rule = rule
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.decay = decay
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X, y=None):
        """Finds the components of X [n, d]; y is ignored.

        Raises:
          ValueError: X or a parameter cannot be used.
        """
        self._check_parameters()
        X = validate_data(self, X, dtype=FLOATS, ensure_min_samples=2)
        n, d = X.shape
        if self.n_components is not None and self.n_components > min(n, d):
            raise ValueError(
                f"n_components={self.n_components} must be at most min(n_samples, n_features)={min(n, d)}"
            )
        self._moments = StandardScaler().fit(X)
        centred = self._centred(X)
        with jax.enable_x64(X.dtype == np.float64):
            seed = self._begin(X)
            self._players, epochs, turned = jax.device_get(
                relative.play(
                    SPHERE_RULES[self.rule],
                    _optimizer(self.momentum),
                    self._players,
                    centred,
                    seed,
                    batch_size=min(self.batch_size or n, n),
                    learning_rate=self.learning_rate,
                    decay=self.decay,
                    max_epochs=self.max_iter,
                    tol=self.tol,
                )
            )
        self.n_iter_ = int(epochs)
        basis = self._basis()
        self._publish(basis, np.var(centred @ basis.T, axis=0, ddof=1, dtype=np.float64))
        if turned > self.tol:
            warnings.warn(
                f"a component still turned by {turned:.1e} radians in the last of {self.n_iter_} epochs; "
                f"increase max_iter={self.max_iter} or tol={self.tol}",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def partial_fit(self, X, y=None):
        """Makes one step on the rows of X [b, d], less the mean of all rows so far; y is ignored.

        Memory does not grow with the rows seen. After `fit` it goes on from there. Raises as `fit` does.
        """
        self._check_parameters()
        first = not hasattr(self, "components_")
        X = validate_data(self, X, dtype=FLOATS, reset=first)
        if first:
            if self.n_components is not None and self.n_components > X.shape[1]:
                raise ValueError(
                    f"n_components={self.n_components} must be at most n_features={X.shape[1]}"
                )
            self._moments = StandardScaler()
        else:
            X = X.astype(self.components_.dtype, copy=False)
        self._moments.partial_fit(X)
        with jax.enable_x64(X.dtype == np.float64):
            if first:
                self._begin(X)
            self._players = jax.device_get(
                _advance(
                    SPHERE_RULES[self.rule],
                    _optimizer(self.momentum),
                    self._players,
                    self._centred(X),
                    self.learning_rate,
                    self.decay,
                )
            )
        self._publish(self._basis(), self._players.variance)
        return self

    def transform(self, X):
        """Returns the coordinates of rows X [n, d] along the components, [n, k]."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        return (X - self.mean_) @ self.components_.T

    def inverse_transform(self, X):
        """Returns the rows [n, d] that have the coordinates X [n, k] and nothing beside them."""
        check_is_fitted(self)
        X = check_array(X, dtype=FLOATS)
        if X.shape[1] != self.n_components_:
            raise ValueError(
                f"X has {X.shape[1]} columns; this {type(self).__name__} has {self.n_components_}"
            )
        return X @ self.components_ + self.mean_

    @property
    def _n_features_out(self):
        return self.n_components_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _check_parameters(self):
        lookup(SPHERE_RULES, self.rule, "rule")
        for name in ("n_components", "batch_size"):
            if getattr(self, name) is not None:
                check_scalar(getattr(self, name), name, Integral, min_val=1)
        check_scalar(self.max_iter, "max_iter", Integral, min_val=1)
        check_scalar(self.learning_rate, "learning_rate", Real, min_val=0, include_boundaries="neither")
        check_scalar(self.momentum, "momentum", Real, min_val=0, max_val=1, include_boundaries="left")
        check_scalar(self.decay, "decay", Real, min_val=0)
        check_scalar(self.tol, "tol", Real, min_val=0)

    def _begin(self, X):
        """Places the players; returns the seed of what else is random."""
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        self.n_components_ = int(self.n_components or min(X.shape))
        players = relative.initial_players(
            _optimizer(self.momentum), seed, self.n_components_, X.shape[1], X.dtype
        )
        self._players = jax.device_get(players)
        return seed

    def _centred(self, X):
        return X - self._moments.mean_.astype(X.dtype)

    def _basis(self):
        """Returns the players' vectors after Gram-Schmidt in order, [k, d].

        Data of a rank below k leave some of them oblique.
        """
        vectors = self._players.vectors
        if not np.isfinite(vectors).all():
            raise ValueError(f"X has squares that are too large for {vectors.dtype}; scale X down")
        return np.linalg.qr(vectors.T)[0].T

    def _publish(self, basis, variance):
        """Sets the fitted attributes from orthonormal rows [k, d] and the variance along each, [k]."""
        order = np.argsort(-variance, kind="stable")
        _, self.components_ = svd_flip(None, basis[order], u_based_decision=False)
        self.explained_variance_ = variance[order].astype(basis.dtype)
        n = int(self._moments.n_samples_seen_)
        total = np.sum(self._moments.var_) * n / max(n - 1, 1)
        self.explained_variance_ratio_ = self.explained_variance_ / (total or 1)
        self.mean_ = self._moments.mean_.astype(basis.dtype)
        self.n_samples_seen_ = n


@functools.cache
def _optimizer(momentum: float) -> Optimizer:
    """Returns plain Nesterov descent, whose rate is set at each step.

    Cached: a new optimiser would compile again.
    """
    return make("sgd", 1.0, {"momentum": float(momentum), "nesterov": True})
