"""Generalised eigenvalue problems as an experiment: canonical correlations, an inverse, ICA.

Players, their optimisers and rows are split over devices.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.cca.config import CcaConfig, CcaSection
from experiments.cca.correlations import captured
from lib import eigengame, optimizers
from lib.data import DataSpec, PrincipalComponents
from lib.data.pipeline import to_rows
from lib.eigengame.generalized import problems
from lib.eigengame.generalized.auxiliary import Auxiliary, initial_auxiliary
from lib.eigengame.generalized.exact import ExactEigenpairs, exact_eigenpairs, representatives
from lib.eigengame.generalized.problems import Problem
from lib.eigengame.generalized.steps import step
from lib.eigengame.players import all_players, check_divides
from lib.errors import ConfigError, within
from lib.experiment import Batch, Experiment
from lib.optimizers import Optimizer
from lib.pictures.artefacts import Array, Artefact, Images
from lib.pictures.images import rows_as_images
from lib.runtime.devices import psum


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
      ConfigError: a split that leaves no second view, more vectors than there can be, or data with NaN or
        without variance.
    """
    section, d = config.cca, math.prod(spec.image_shape)
    with within("config.cca"):
        order, p = np.arange(d), d
        if section.has_views:
            order, p = split_features(spec.image_shape, section.split)
        if section.k > (most := min(p, d - p) if section.has_views else d):
            of = f"views of {p} and {d - p} features" if section.has_views else f"{d} features"
            raise ConfigError(f"{section.k} vectors of {of}; use at most {most}", "k")
    with within("config.cca.optimizer"):
        optimizer = optimizers.from_config(section.optimizer, with_loss=False)
    problem = PROBLEMS[section.problem](section, p)
    components = spec.principal_components(d)
    exact = _exact(problem, section.k, spec, components, order)
    game = CcaGame(config, spec.image_shape, order, p, problem, optimizer, components.mean, exact)
    return Experiment(
        draw=game.draw,
        begin=game.begin,
        train_step=game.train_step,
        eval_step=game.eval_step,
        eval_summary=game.eval_summary,
        eval_state=game.eval_state,
        outputs={"artefacts": game.artefacts},
        state_axes=CcaState(params=0, opt_state=0, auxiliary=0),
        check_devices=game.check_devices,
        main_metrics=("utility",),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class CcaGame:
    """The functions of an experiment, and the constants that they share.

    Attributes:
      config: of the run.
      shape: (h, w, c) of images, or (d,).
      order: [d], the features of the first view before those of the second.
      p: how many features the first view has.
      problem: A and B.
      optimizer: of each player.
      mean: of the training rows, [d], in the features' own order.
      exact: the eigenpairs of the training rows; None where they are not known.
    """

    config: CcaConfig
    shape: tuple[int, ...]
    order: np.ndarray
    p: int
    problem: Problem
    optimizer: Optimizer
    mean: np.ndarray
    exact: ExactEigenpairs | None

    def rows(self, batch: Batch) -> jax.Array:
        """Returns centred rows (x, y), [b, d]."""
        mean = jnp.asarray(self.mean[self.order], jnp.float32)
        return to_rows(batch["image"])[:, self.order] - mean[None]

    def draw(self, key: jax.Array, batch: Batch) -> tuple[jax.Array, Any]:
        """Returns random vectors, and running means of one batch."""
        vectors = eigengame.initial_vectors(key, self.config.cca.k, len(self.order))
        return vectors, initial_auxiliary(self.problem, vectors, self.rows(batch))

    def begin(self, drawn: tuple[jax.Array, Any]) -> CcaState:
        """Returns the vectors and means with new optimisers."""
        vectors, auxiliary = drawn
        return CcaState(vectors, eigengame.initial_optimizers(self.optimizer, vectors), auxiliary)

    def train_step(self, state: CcaState, batch: Batch, key: jax.Array):
        """Makes one step of the players."""
        del key
        *state, metrics = step(
            self.problem,
            self.optimizer,
            *state,
            self.rows(batch),
            gamma=self.config.cca.gamma,
            unbiased=self.config.cca.estimator == "unbiased",
            ordered=self.config.cca.rule == "gamma",
        )
        return CcaState(*state), metrics

    def eval_step(self, state: CcaState, batch: Batch, key: jax.Array):
        """Sums the moments of the problem along the players' vectors."""
        del key
        mask = batch["mask"].astype(jnp.float32)
        sums = self.problem.moments(all_players(state.params), self.rows(batch), mask)
        return psum({name: (value, mask.sum()) for name, value in sums.items()})

    def eval_summary(self, means: dict[str, Any]) -> dict[str, Any]:
        """Returns each player's quotient, of two views the sum of correlations, and how near they are."""
        quotients, _ = self.pairs(means)
        summary = eigengame.of_each(quotients)
        has_views = self.config.cca.has_views
        if has_views:
            summary = {"total": captured(means), **summary}
        data = self.config.dataset
        if self.exact is not None and data.eval_split == data.train_split:
            if has_views:
                summary["captured"] = summary["total"] / self.exact.eigenvalues.sum()
            summary |= eigengame.largest_error(quotients, self.exact.eigenvalues)
        return summary

    def pairs(self, means: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Returns (eigenvalues [k], R [k, k]), such that the rows of R V are eigenvectors, v^T B v = 1.

        Those of players in order are their own, with Rayleigh quotients v_i^T A v_i / v_i^T B v_i; those
        of players without are the best in their span, by Rayleigh and Ritz.
        """
        a, b = self.problem.grams(means)
        if self.config.cca.rule == "gamma":
            return np.diagonal(a) / np.diagonal(b), np.diag(1 / np.sqrt(np.diagonal(b)))
        from scipy.linalg import eigh  # here: a run that needs no scipy starts sooner

        values, vectors = eigh(a, b)
        return values[::-1], vectors.T[::-1]

    def eval_state(self, state: CcaState) -> Mapping[str, jax.Array]:
        """Returns the metrics that need the exact eigenvectors; none where these are not known."""
        if self.exact is None:
            return {}
        root = jnp.asarray(self.exact.root, jnp.float32)
        exact = jnp.asarray(self.exact.eigenvectors @ self.exact.root, jnp.float32)
        if self.config.cca.rule != "gamma":  # players have no order
            return {"subspace_distance": eigengame.subspace_distance(state.params @ root, exact)}
        return eigengame.comparison(state.params @ root, exact)

    def artefacts(self, state: CcaState, key: jax.Array, means: Callable) -> dict[str, Artefact]:
        """Returns the results; of two views of images pairs of halves, each where it was in the images.

        Eigenvectors have v^T B v = 1. Drawn is B v, whose pixels go up with its variates.
        """
        del key
        values, rotation = self.pairs(means())
        original = np.argsort(self.order)
        vectors = (rotation @ state.params)[:, original]
        results = {
            "eigenvectors": Array(vectors),
            "eigenvalues": Array(values),
            "mean": Array(self.mean),
        }
        if self.config.cca.problem == "inverse" and len(vectors) == len(original):
            results["inverse"] = Array(vectors.T @ vectors)
        if len(self.shape) == 3:
            pairs = (rotation @ state.auxiliary.b)[:, original]
            results["pairs"] = Images(rows_as_images(pairs, self.shape))
        return results

    def check_devices(self, n: int) -> None:
        """Checks that players can be split over n devices, and that each can halve its rows."""
        with within("config.cca"):
            has_views, d = self.config.cca.has_views, len(self.order)
            check_divides(self.config.cca.k, min(self.p, d - self.p) if has_views else d, n)
        b, parts = self.config.batch_size, 4 if self.config.cca.problem == "ica" else 2
        if rest := b % (parts * n):
            what = {2: "two equal halves", 4: "four equal quarters"}[parts]
            raise ConfigError(
                f"{b} rows make no {what} on each of the {n} devices; use {b + parts * n - rest}",
                "config.batch_size",
            )


# {problem: `(section, p) -> problem` of a first view of p features}
PROBLEMS: dict[str, Callable[[CcaSection, int], Problem]] = {
    "cca": lambda section, p: problems.cca(p, section.epsilon),
    "pls": lambda section, p: problems.pls(p),
    "mlr": lambda section, p: problems.mlr(p, section.epsilon),
    "inverse": lambda section, p: problems.Inverse(section.epsilon),
    "ica": lambda section, p: problems.Ica(section.epsilon, 1.0 if section.maximize else -1.0),
}


def _exact(
    problem: Problem, k: int, spec: DataSpec, components: PrincipalComponents, order: np.ndarray
) -> ExactEigenpairs | None:
    """Returns the exact pairs on the training rows; None where there are too many features to know them."""
    if components.eigenvectors is None:
        return None
    chunks, count = [representatives(components)[:, order]], len(order)
    if isinstance(problem, problems.Ica):  # needs more than the covariance
        chunks = (rows - components.mean for rows in spec.rows("exact components"))
        count = spec.train_size
    try:
        return exact_eigenpairs(problem, chunks, count, k)
    except np.linalg.LinAlgError as error:
        text = "the covariance is singular, as with constant features; use a number above 0, such as 0.001"
        raise ConfigError(text, "config.cca.epsilon") from error


def split_features(shape: tuple[int, ...], split: int) -> tuple[np.ndarray, int]:
    """Returns the features of the first view before those of the second, and how many the first has.

    Args:
      shape: (h, w, c) of images, which are split between columns of pixels, or (d,).
      split: columns of the first view; 0: half of them.

    Raises:
      ConfigError: of the field `split`: no column is left for the second view.
    """
    axis = len(shape) // 2
    columns = shape[axis]
    if max(split, 1) >= columns:
        raise ConfigError(
            f"{split} of {columns} columns leave none for the second view; use at most {columns - 1}",
            "split",
        )
    numbers = np.arange(math.prod(shape)).reshape(shape)
    first, second = np.split(numbers, [split or columns // 2], axis)
    return np.concatenate([first.ravel(), second.ravel()]), first.size
