"""Canonical correlations on the runner: players and their optimisers are split over devices, and so are the rows."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.cca.config import CcaConfig
from lib import eigengame, optimizers
from lib.data import DataSpec
from lib.data.pipeline import to_rows
from lib.eigengame import exact, generalized, problems
from lib.eigengame.generalized import Auxiliary
from lib.eigengame.products import all_players, check_divides
from lib.errors import ConfigError, within
from lib.experiment import Batch, Experiment
from lib.pictures.artefacts import Array, Artefact, Images
from lib.pictures.images import rows_as_images
from lib.runtime.devices import psum

_NO_VARIANCE = 1e-6  # of the largest variance: rounding's share in float32


class CcaState(NamedTuple):
    """Attributes:
    params: [k, d], the players' vectors (w, z): weights of the first view, then of the second.
    opt_state: of each player: leaves [k, ...].
    auxiliary: the players' running means, leaves [k, ...].
    """

    params: jax.Array
    opt_state: Any
    auxiliary: Auxiliary


def build(config: CcaConfig, spec: DataSpec) -> Experiment:
    """Builds the experiment of a validated config.

    Raises:
      ConfigError: a split that leaves no second view, more pairs than a view has features, or data with NaN or without variance.
    """
    section = config.cca
    k, d = section.k, math.prod(spec.image_shape)
    order, p = split_features(spec.image_shape, section.split)
    if k > min(p, d - p):
        raise ConfigError(
            f"config.cca.k: {k} pairs of views of {p} and {d - p} features; use at most {min(p, d - p)}"
        )
    problem = problems.cca(p, section.epsilon) if section.problem == "cca" else problems.pls(p)
    with within("config.cca.optimizer"):
        optimizer = optimizers.from_config(section.optimizer, with_loss=False)
    spectrum = spec.spectrum(d)
    truth = None
    if spectrum.eigenvectors is not None:
        truth = exact.exact(problem, exact.representatives(spectrum)[:, order], k)
    mean = jnp.asarray(spectrum.mean[order], jnp.float32)
    on_training_rows = config.dataset.eval_split == config.dataset.train_split

    def rows_of(batch: Batch) -> jax.Array:
        """Centred rows (x, y), [b, p + q]."""
        return to_rows(batch["image"])[:, order] - mean[None]

    def init(key: jax.Array, batch: Batch) -> CcaState:
        vectors = eigengame.initial_vectors(key, k, d)
        auxiliary = generalized.initial_auxiliary(problem, vectors, rows_of(batch))
        return CcaState(vectors, eigengame.initial_optimizers(optimizer, vectors), auxiliary)

    def train_step(state: CcaState, batch: Batch, key: jax.Array):
        del key
        *state, metrics = generalized.step(problem, optimizer, *state, rows_of(batch), gamma=section.gamma)
        return CcaState(*state), metrics

    def eval_step(state: CcaState, batch: Batch, key: jax.Array):
        del key
        mask = batch["mask"]
        count = mask.sum()
        # The problem's means are over all rows of the batch: make them means over the real ones.
        rows = rows_of(batch) * (mask * jnp.sqrt(len(mask) / jnp.maximum(count, 1)))[:, None]
        vectors = all_players(state.params)
        a, b = problem(vectors, rows)
        grams = {
            "cross": vectors[:, :p] @ a[:, :p].T,  # w_i^T Cxy z_j
            "first": vectors[:, :p] @ b[:, :p].T,  # w_i^T Bx w_j
            "second": vectors[:, p:] @ b[:, p:].T,  # z_i^T By z_j
        }
        return psum({name: (gram * count, count) for name, gram in grams.items()})

    def eval_summary(means: dict[str, Any]) -> dict[str, Any]:
        total = captured(means)
        found = {"total": total}
        if truth is not None and on_training_rows:
            found["captured"] = total / truth.eigenvalues.sum()
            found["eigenvalue_error"] = eigengame.largest_error(quotients(means), truth.eigenvalues)
        return found

    def eval_state(state: CcaState) -> Mapping[str, jax.Array]:
        if truth is None:
            return {}
        exact, root = (jnp.asarray(x, jnp.float32) for x in (truth.eigenvectors @ truth.root, truth.root))
        return eigengame.comparison(state.params @ root, exact)

    def artefacts(state: CcaState, key: jax.Array, means: Callable) -> dict[str, Artefact]:
        """Returns the results, and of images the two halves of each pair, each where it was in the images.

        Drawn is B v, whose pixels go up with its variates.
        """
        del key
        grams = means()
        norm = np.sqrt(np.diagonal(grams["first"] + grams["second"]))[:, None]
        made = {
            "eigenvectors": Array((state.params / norm)[:, np.argsort(order)]),
            "eigenvalues": Array(quotients(grams)),
            "mean": Array(spectrum.mean),
        }
        if len(spec.image_shape) == 3:
            pairs = rows_as_images(state.auxiliary.b[:, np.argsort(order)], spec.image_shape)
            made["pairs"] = Images(pairs)
        return made

    def check_devices(n: int) -> None:
        check_divides(k, min(p, d - p), 0, n, "config.cca")
        if rest := config.batch_size % (2 * n):
            raise ConfigError(
                f"config.batch_size: {config.batch_size} rows make no two equal halves on each of the {n} devices; "
                f"use {config.batch_size + 2 * n - rest}"
            )

    return Experiment(
        init=init,
        train_step=train_step,
        eval_step=eval_step,
        eval_summary=eval_summary,
        eval_state=eval_state,
        outputs={"artefacts": artefacts},
        state_axes=CcaState(params=0, opt_state=0, auxiliary=0),
        check_devices=check_devices,
        main_metrics=("utility",),
    )


def split_features(shape: tuple[int, ...], split: int) -> tuple[np.ndarray, int]:
    """The features of the first view before those of the second, and how many the first has.

    Args:
      shape: (h, w, c) of images, which are split between columns of pixels, or (d,).
      split: columns of the first view; 0: half of them.

    Raises:
      ConfigError: no column is left for the second view.
    """
    axis = len(shape) // 2
    columns = shape[axis]
    if max(split, 1) >= columns:
        raise ConfigError(
            f"config.cca.split: {split} of {columns} columns leave none for the second view; "
            f"use at most {columns - 1}"
        )
    numbers = np.arange(math.prod(shape)).reshape(shape)
    first, second = np.split(numbers, [split or columns // 2], axis)
    return np.concatenate([first.ravel(), second.ravel()]), first.size


def quotients(grams: Mapping[str, np.ndarray]) -> np.ndarray:
    """lambda_i = v_i^T A v_i / v_i^T B v_i = 2 w_i^T Cxy z_i / (w_i^T Bx w_i + z_i^T By z_i), [k]."""
    return 2 * np.diagonal(grams["cross"]) / np.diagonal(grams["first"] + grams["second"])


def captured(grams: Mapping[str, np.ndarray]) -> float:
    """The sum of all k correlations (pls: covariances) between the span of the w_i and the span of the z_i.

    Those of exact vectors over their sum is the 'proportion of correlations captured' of Ma, Lu, Foster,
    'Finding linear structure in large datasets with scalable canonical correlation analysis', ICML 2015.
    With G the grams [k, k], their squares are the eigenvalues of Gx^-1 Gxy Gy^-1 Gxy^T.
    """
    inverse = lambda gram: np.linalg.pinv(gram, rcond=_NO_VARIANCE, hermitian=True)
    cross = grams["cross"]
    squares = np.linalg.eigvals(inverse(grams["first"]) @ cross @ inverse(grams["second"]) @ cross.T).real
    return float(np.sum(np.sqrt(np.maximum(squares, 0))))
