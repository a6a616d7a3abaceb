"""EigenGame as an experiment: players, their optimisers and the rows are split over devices."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.eigengame.config import EigenGameConfig, EigenGameSection
from experiments.eigengame.means import ONLINE, Mean, first_mean
from lib import eigengame, optimizers
from lib.data import DataSpec, PrincipalComponents
from lib.data.pipeline import to_rows
from lib.eigengame.ascent import normalized
from lib.eigengame.pca.products import check_groups
from lib.eigengame.pca.steps import step
from lib.eigengame.players import all_players, check_divides
from lib.errors import ConfigError, within
from lib.experiment import Batch, Experiment
from lib.optimizers import Optimizer
from lib.pictures.artefacts import Array, Artefact, Images
from lib.pictures.images import rows_as_images
from lib.runtime.devices import psum


class EigenState(NamedTuple):
    """Attributes:
    params: [k, d], the players' vectors.
    opt_state: of each player: leaves [k, ...].
    mean: the same for all players.
    """

    params: jax.Array
    opt_state: Any
    mean: Mean


def build(config: EigenGameConfig, spec: DataSpec) -> Experiment:
    """Builds the experiment of a validated config.

    Raises:
      ConfigError: more vectors than features, a mean that does not fit, or data with NaN or without
        variance.
    """
    section = config.eigengame
    k, d = section.k, math.prod(spec.image_shape)
    if k > d:
        raise ConfigError(f"{k} vectors of only {d} features; use at most {d}", "config.eigengame.k")
    with within("config.eigengame.optimizer"):
        optimizer = optimizers.from_config(section.optimizer, with_loss=False)
    mean, exact = first_mean(section.mean, spec, d, k if section.maximize else d, section.exact_limit)
    if exact is not None and not section.maximize:
        exact = exact.bottom(k)
    on_training_rows = config.dataset.eval_split == config.dataset.train_split
    game = PcaGame(section, spec.image_shape, optimizer, mean, exact, on_training_rows)
    return Experiment(
        draw=game.draw,
        begin=game.begin,
        train_step=game.train_step,
        eval_step=game.eval_step,
        eval_summary=game.eval_summary,
        eval_state=game.eval_state,
        outputs={"artefacts": game.artefacts},
        state_axes=EigenState(params=0, opt_state=0, mean=None),
        check_devices=game.check_devices,
        main_metrics=("utility",),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class PcaGame:
    """The functions of an experiment, and the constants that they share.

    Attributes:
      section: of the config.
      shape: (h, w, c) of images, or (d,).
      optimizer: of each player.
      mean: what rows are centred by at first, [d].
      exact: the components of the training rows, in the order in which they are sought; None where they
        are not known.
      on_training_rows: whether evaluation is on the training rows.
    """

    section: EigenGameSection
    shape: tuple[int, ...]
    optimizer: Optimizer
    mean: np.ndarray
    exact: PrincipalComponents | None
    on_training_rows: bool

    def draw(self, key: jax.Array, batch: Batch) -> jax.Array:
        """Returns random vectors."""
        del batch
        return eigengame.initial_vectors(key, self.section.k, math.prod(self.shape))

    def begin(self, vectors: jax.Array) -> EigenState:
        """Returns the vectors with new optimisers and the first mean."""
        opt_state = eigengame.initial_optimizers(self.optimizer, vectors)
        return EigenState(vectors, opt_state, Mean(jnp.asarray(self.mean, jnp.float32), jnp.zeros([])))

    def train_step(self, state: EigenState, batch: Batch, key: jax.Array):
        """Makes one step of the players on rows less their mean, which is updated where it is online."""
        del key
        rows = to_rows(batch["image"])
        mean = state.mean.updated(rows) if self.section.mean == ONLINE else state.mean
        vectors, opt_state, metrics = step(
            eigengame.PCA_RULES[self.section.rule],
            self.optimizer,
            state.params,
            state.opt_state,
            rows - mean.value[None],
            riemannian=self.section.riemannian,
            groups=self.section.groups,
            maximize=self.section.maximize,
        )
        return EigenState(vectors, opt_state, mean), metrics

    def eval_step(self, state: EigenState, batch: Batch, key: jax.Array):
        """Sums the squares of rows, of their parts in the players' span, and of those along each vector."""
        del key
        mask = batch["mask"]
        rows = (to_rows(batch["image"]) - state.mean.value[None]) * mask[:, None]
        vectors = normalized(all_players(state.params))
        basis, _ = jnp.linalg.qr(vectors.T)
        sums = {
            "captured": jnp.sum((rows @ basis) ** 2),
            "total": jnp.sum(rows**2),
            "rayleigh": jnp.sum((rows @ vectors.T) ** 2, 0),
        }
        return psum({name: (value, mask.sum()) for name, value in sums.items()})

    def eval_summary(self, means: dict[str, Any]) -> dict[str, Any]:
        """Returns the captured share of the variance, each vector's, and on training rows their error."""
        summary = {"captured_variance": means["captured"] / means["total"]}
        summary |= eigengame.of_each(means["rayleigh"])
        if self.exact is not None and self.on_training_rows:
            exact = self.exact.eigenvalues[: self.section.k]
            scale = self.exact.total_variance
            summary |= eigengame.largest_error(means["rayleigh"], exact, scale)
        return summary

    def eval_state(self, state: EigenState) -> Mapping[str, jax.Array]:
        """Returns the metrics that need the exact eigenvectors; none where these are not known."""
        if self.exact is None:
            return {}
        exact = jnp.asarray(self.exact.eigenvectors[: len(state.params)], state.params.dtype)
        return eigengame.comparison(state.params, exact)

    def artefacts(self, state: EigenState, key: jax.Array, means: Callable) -> dict[str, Artefact]:
        """Returns the results, and the components as images where the data are images."""
        del key
        results = {
            "eigenvectors": Array(normalized(state.params)),
            "eigenvalues": Array(means()["rayleigh"]),
            "mean": Array(state.mean.value),
        }
        if len(self.shape) == 3:
            results["components"] = Images(rows_as_images(state.params, self.shape))
        return results

    def check_devices(self, n: int) -> None:
        """Checks that players and groups fit n devices."""
        with within("config.eigengame"):
            check_divides(self.section.k, math.prod(self.shape), n)
            check_groups(self.section.groups, n)
