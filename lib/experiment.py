"""The contract between an experiment, which writes mathematics, and the runner, which runs it.

An experiment is a frozen dataclass of pure functions. It owns no device, no file, no clock and no
loop: the runner jits, pmaps, scans and checkpoints it. To add one, write `build(config, spec)` that returns
an `Experiment`, and name it in experiments/registry.py.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax

from lib.games.updates import Rule

State = Any  # a pytree of arrays, nothing else
Batch = Mapping[str, jax.Array]
Metrics = Mapping[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Pure functions of one experiment.

    Attributes:
      init: `(key, batch) -> State`. Called once, without the device axis; `batch` is a training batch.
      train_step: `(state, batch, key) -> (State, metrics)`. `batch` is this device's share: uint8
        `image` [b, h, w, c] (of points: float32 [b, d]) and int32 `label` [b]. `metrics` are scalars, equal on all devices.
        Runs under an axis named `lib.devices.AXIS`, over which losses and gradients are averaged.
      eval_step: `(state, batch, key) -> {name: (sum, count)}`, already summed over devices.
        `batch` has one more leaf: `mask` [b], 0 for the padding of the last batch.
      eval_summary: `{name: mean over the split} -> {name: scalar}`: for metrics that are no means over
        examples but functions of such, whose sums may be arrays.
      eval_state: `(state) -> {name: scalar}`: metrics of the state alone, without data; of a whole state.
      heads: what evaluators and plots may call, by name:
        `sample`: `(state, key, n) -> images`, float32 [n, h, w, c] in [-1, 1], on this device; an
          experiment without it has no images to score, and is evaluated by its own metrics alone;
        `logits`: `(state, images) -> (logits [b, classes], features [b, d])`, images as of `sample`;
        `figures`: `(state, key) -> {name: images}`, drawn as grids, or `lib.figures.Points`, as scatters;
        `pictures`: `(state) -> {name: matplotlib figure}`, for those that no grid or scatter can be;
        `arrays`: `(state, {name: mean over the split}) -> {name: array}`, results written as .npy files.
      state_axes: a pytree prefix of State for pmap: None replicated, 0 split over devices: a step sees its
        device's equal share of the leading axis.
      check_devices: raises a ConfigError where the experiment does not fit a number of devices.
      batches_per_step: how many batches of the config's size one train_step takes, concatenated.
      min_device_batch: the least examples of a batch that a device needs.
      main_metrics: the few names shown beside the progress bar.
      rule: the update rule whose step is the training step's mathematics, for analyses of its game; None where
        the experiment is no game of lib/games.
      rule_batch: `(batch) -> what rule.step takes`, of a training batch.
    """

    init: Callable[[jax.Array, Batch], State]
    train_step: Callable[[State, Batch, jax.Array], tuple[State, Metrics]]
    eval_step: Callable[[State, Batch, jax.Array], Mapping[str, tuple[jax.Array, jax.Array]]]
    eval_summary: Callable[[dict[str, Any]], Mapping[str, Any]] = dict
    eval_state: Callable[[State], Mapping[str, jax.Array]] = lambda state: {}
    heads: Mapping[str, Callable] = dataclasses.field(default_factory=dict)
    state_axes: Any = None
    check_devices: Callable[[int], None] = lambda n: None
    batches_per_step: int = 1
    min_device_batch: int = 1
    main_metrics: tuple[str, ...] = ()
    rule: Rule | None = None
    rule_batch: Callable[[Batch], Any] = lambda batch: batch
