"""Canonical correlations as an experiment; players, their optimisers and rows are split over devices."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.cca.config import CcaConfig, CcaSection
from experiments.cca.correlations import captured, grams, quotients
from lib import eigengame, optimizers
from lib.data import DataSpec
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
      ConfigError: a split that leaves no second view, more pairs than a view has features, or data with NaN
        or without variance.
    """
    section, d = config.cca, math.prod(spec.image_shape)
    with within("config.cca"):
        order, p = split_features(spec.image_shape, section.split)
        if section.k > (most := min(p, d - p)):
            raise ConfigError(
                f"{section.k} pairs of views of {p} and {d - p} features; use at most {most}", "k"
            )
    with within("config.cca.optimizer"):
        optimizer = optimizers.from_config(section.optimizer, with_loss=False)
    problem = _problem(section, p)
    components = spec.principal_components(d)
    exact = None
    if components.eigenvectors is not None:
        exact = exact_eigenpairs(problem, representatives(components)[:, order], section.k)
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
        )
        return CcaState(*state), metrics

    def eval_step(self, state: CcaState, batch: Batch, key: jax.Array):
        """Sums the Gram matrices of the variates."""
        del key
        mask = batch["mask"]
        count = mask.sum()
        # The problem's means are over all rows of the batch: make them means over the real ones.
        rows = self.rows(batch) * (mask * jnp.sqrt(len(mask) / jnp.maximum(count, 1)))[:, None]
        means = grams(self.problem, all_players(state.params), rows, self.p)
        return psum({name: (gram * count, count) for name, gram in means.items()})

    def eval_summary(self, means: dict[str, Any]) -> dict[str, Any]:
        """Returns the sum of correlations, each one, and on the training rows how near they are."""
        total = captured(means)
        summary = {"total": total, **eigengame.of_each(quotients(means))}
        data = self.config.dataset
        if self.exact is not None and data.eval_split == data.train_split:
            summary["captured"] = total / self.exact.eigenvalues.sum()
            summary["eigenvalue_error"] = eigengame.largest_error(quotients(means), self.exact.eigenvalues)
        return summary

    def eval_state(self, state: CcaState) -> Mapping[str, jax.Array]:
        """Returns the metrics that need the exact eigenvectors; none where these are not known."""
        if self.exact is None:
            return {}
        root = jnp.asarray(self.exact.root, jnp.float32)
        exact = jnp.asarray(self.exact.eigenvectors @ self.exact.root, jnp.float32)
        return eigengame.comparison(state.params @ root, exact)

    def artefacts(self, state: CcaState, key: jax.Array, means: Callable) -> dict[str, Artefact]:
        """Returns the results, and of images the two halves of each pair, each where it was in the images.

        Drawn is B v, whose pixels go up with its variates.
        """
        del key
        means = means()
        norm = np.sqrt(np.diagonal(means["first"] + means["second"]))[:, None]
        original = np.argsort(self.order)
        results = {
            "eigenvectors": Array((state.params / norm)[:, original]),
            "eigenvalues": Array(quotients(means)),
            "mean": Array(self.mean),
        }
        if len(self.shape) == 3:
            results["pairs"] = Images(rows_as_images(state.auxiliary.b[:, original], self.shape))
        return results

    def check_devices(self, n: int) -> None:
        """Checks that players can be split over n devices, and that each can halve its rows."""
        with within("config.cca"):
            check_divides(self.config.cca.k, min(self.p, len(self.order) - self.p), n)
        b = self.config.batch_size
        if rest := b % (2 * n):
            raise ConfigError(
                f"{b} rows make no two equal halves on each of the {n} devices; use {b + 2 * n - rest}",
                "config.batch_size",
            )


def _problem(section: CcaSection, p: int) -> Problem:
    """Returns the problem that a section names, of a first view of p features."""
    if section.problem == "pls":
        return problems.pls(p)
    return {"cca": problems.cca, "mlr": problems.mlr}[section.problem](p, section.epsilon)


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
