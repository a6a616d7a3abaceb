"""The contract between an experiment, which writes mathematics, and the runtime, which runs it.

An experiment is a frozen dataclass of pure functions. It owns no device, no file, no clock and no loop: the
runtime jits, pmaps, scans and checkpoints it. To add one, write `build(config, spec)` that returns an
`Experiment`, and name it in experiments/registry.py.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

State = Any  # a pytree of arrays, nothing else
Batch = Mapping[str, jax.Array]
Metrics = Mapping[str, jax.Array]


class GameView(NamedTuple):
    """The game that an experiment plays, for analyses.

    Attributes:
      rule: the update rule of its players, whose step is the training step's mathematics
        (`lib.games.updates.BoundRule`).
      batch: `(batch) -> what rule.step takes`, of a training batch.
    """

    rule: Any
    batch: Callable[[Batch], Any]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Pure functions of one experiment.

    Attributes:
      draw: `(key, batch) -> what the first state is made of`, for instance parameters; without the device
        axis. `batch` is a training batch. Numbers that a sweep may vary are not in it: it is compiled once
        for all runs that differ in these.
      begin: `(drawn) -> State` before the first step, with the numbers of the config as arrays.
      train_step: `(state, batch, key) -> (State, metrics)`. `batch` is this device's share: uint8
        `image` [b, h, w, c] (of points: float32 [b, d]) and int32 `label` [b]. `metrics` are scalars, equal
        on all devices. Runs under an axis named `lib.runtime.devices.AXIS`, over which losses and gradients
        are averaged.
      eval_step: `(state, batch, key) -> {name: (sum, count)}`, already summed over devices.
        `batch` has one more leaf: `mask` [b], 0 for the padding of the last batch.
      eval_summary: `{name: mean over the split} -> {name: scalar}`: for metrics that are no means over
        examples but functions of such, whose sums may be arrays.
      eval_state: `(state) -> {name: scalar}`: metrics of the state alone, without data; of a whole state.
      outputs: what evaluators and pictures may call, by name:
        `samples`: `(state, key, n) -> images`, float32 [n, h, w, c] in [-1, 1], on this device; an
          experiment without it has no images to score, and is evaluated by its own metrics alone;
        `logits`: `(state, images) -> (logits [b, classes], features [b, d])`, images as of `samples`;
        `artefacts`: `(state, key, means) -> {name: lib.pictures.artefacts.Artefact}`: pictures and
          arrays of a whole state; `means() -> {name: mean over the held-out split}` is computed if
          it is called.
      averages: `(state) -> {name: state}`: states that have averages of parameters in the place of the last
        ones, which are evaluated beside them.
      state_axes: a pytree prefix of State for pmap: None replicated, 0 split over devices: a step sees its
        device's equal share of the leading axis.
      check_devices: raises a ConfigError where the experiment does not fit a number of devices.
      batches_per_step: how many batches of the config's size one train_step takes, concatenated.
      min_device_batch: the least examples of a batch that a device needs.
      device_batch_multiple: what they must be a multiple of.
      main_metrics: the few names shown beside the progress bar.
      game: its players and their update rule, for analyses; None where it is no game of lib/games.
    """

    draw: Callable[[jax.Array, Batch], Any]
    train_step: Callable[[State, Batch, jax.Array], tuple[State, Metrics]]
    eval_step: Callable[[State, Batch, jax.Array], Mapping[str, tuple[jax.Array, jax.Array]]]
    begin: Callable[[Any], State] = lambda drawn: drawn
    eval_summary: Callable[[dict[str, Any]], Mapping[str, Any]] = dict
    eval_state: Callable[[State], Mapping[str, jax.Array]] = lambda state: {}
    outputs: Mapping[str, Callable] = dataclasses.field(default_factory=dict)
    averages: Callable[[State], Mapping[str, State]] = lambda state: {}
    state_axes: Any = None
    check_devices: Callable[[int], None] = lambda n: None
    batches_per_step: int = 1
    min_device_batch: int = 1
    device_batch_multiple: int = 1
    main_metrics: tuple[str, ...] = ()
    game: GameView | None = None

    def init(self, key: jax.Array, batch: Batch) -> State:
        """Returns the state before the first step."""
        return self.begin(self.draw(key, batch))
