"""EigenGame on the runner: players and their optimisers are split over devices, and so are the rows."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.eigengame.config import EigenGameConfig
from lib import eigengame, optimizers
from lib.data import DataSpec
from lib.data.pipeline import to_rows
from lib.eigengame.products import all_players, check_divides
from lib.eigengame.rules import normalized
from lib.errors import ConfigError, within
from lib.experiment import Batch, Experiment
from lib.pictures.artefacts import Array, Artefact, Images
from lib.pictures.images import rows_as_images
from lib.runtime.devices import pmean, psum


class Mean(NamedTuple):
    """What rows are centred by: the mean so far, or a constant.

    Attributes:
      value: [d].
      count: batches seen, float32.
    """

    value: jax.Array
    count: jax.Array


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
      ConfigError: more vectors than features, a mean that does not fit, or data with NaN or without variance.
    """
    section = config.eigengame
    k, d = section.k, math.prod(spec.image_shape)
    if k > d:
        raise ConfigError(f"config.eigengame.k: {k} vectors of only {d} features; use at most {d}")
    rule = eigengame.RULES[section.rule]
    with within("config.eigengame.optimizer"):
        optimizer = optimizers.from_config(section.optimizer, with_loss=False)
    mean, truth = _mean_and_truth(config, spec, d)
    online = section.mean == "online"

    def init(key: jax.Array, batch: Batch) -> EigenState:
        del batch
        vectors = eigengame.initial_vectors(key, k, d)
        opt_state = eigengame.initial_optimizers(optimizer, vectors)
        return EigenState(vectors, opt_state, Mean(jnp.asarray(mean, jnp.float32), jnp.zeros([])))

    def train_step(state: EigenState, batch: Batch, key: jax.Array):
        del key
        rows = to_rows(batch["image"])
        centre = _tracked(state.mean, rows) if online else state.mean
        vectors, opt_state, metrics = eigengame.step(
            rule,
            optimizer,
            state.params,
            state.opt_state,
            rows - centre.value[None],
            riemannian=section.riemannian,
            groups=section.groups,
        )
        return EigenState(vectors, opt_state, centre), metrics

    def eval_step(state: EigenState, batch: Batch, key: jax.Array):
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

    def eval_summary(means: dict[str, Any]) -> dict[str, Any]:
        found = {"captured_variance": means["captured"] / means["total"]}
        if truth is not None and config.dataset.eval_split == config.dataset.train_split:
            found["eigenvalue_error"] = eigengame.largest_error(means["rayleigh"], truth.eigenvalues[:k])
        return found

    def artefacts(state: EigenState, key: jax.Array, means: Callable) -> dict[str, Artefact]:
        """Returns the results, and the components as images where the data are images."""
        del key
        made = {
            "eigenvectors": Array(normalized(state.params)),
            "eigenvalues": Array(means()["rayleigh"]),
            "mean": Array(state.mean.value),
        }
        if len(spec.image_shape) == 3:
            made["components"] = Images(rows_as_images(state.params, spec.image_shape))
        return made

    return Experiment(
        init=init,
        train_step=train_step,
        eval_step=eval_step,
        eval_summary=eval_summary,
        eval_state=_against(truth),
        outputs={"artefacts": artefacts},
        state_axes=EigenState(params=0, opt_state=0, mean=None),
        check_devices=lambda n: check_divides(k, d, section.groups, n),
        main_metrics=("utility",),
    )


def _mean_and_truth(config: EigenGameConfig, spec: DataSpec, d: int):
    """(what rows are centred by at first [d], the exact spectrum or None where it is too large)."""
    section = config.eigengame
    centres = {"none": np.zeros(d), "data": None, "online": None}
    centre = centres[section.mean] if section.mean in centres else _read_mean(Path(section.mean), d)
    spectrum = spec.spectrum(section.k, centre, section.exact_limit)
    first = np.zeros(d) if section.mean == "online" else spectrum.mean if centre is None else centre
    return first, spectrum if spectrum.eigenvectors is not None else None


def _read_mean(path: Path, d: int) -> np.ndarray:
    if path.suffix != ".npy":
        raise ConfigError(
            f"config.eigengame.mean: unknown '{path}'; known: none, data, online, or a .npy file"
        )
    try:
        with path.open("rb") as file:
            mean = np.lib.format.read_array(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"config.eigengame.mean: cannot read '{path}' ({error})") from error
    if mean.shape != (d,) or mean.dtype.kind not in "buif" or not np.isfinite(mean).all():
        raise ConfigError(
            f"config.eigengame.mean: '{path}' must hold {d} finite real numbers, not shape {mean.shape} of "
            f"type {mean.dtype}"
        )
    return mean


def _tracked(mean: Mean, rows: jax.Array) -> Mean:
    """The mean over this batch and all before it."""
    count = mean.count + 1
    return Mean(mean.value + (pmean(rows.mean(0)) - mean.value) / count, count)


def _against(truth) -> Callable[[EigenState], Mapping[str, jax.Array]]:
    """The metrics that need the true eigenvectors; none where these are not known."""
    if truth is None:
        return lambda state: {}

    def metrics(state: EigenState) -> dict[str, jax.Array]:
        true = jnp.asarray(truth.eigenvectors[: len(state.params)], state.params.dtype)
        return eigengame.comparison(state.params, true)

    return metrics
