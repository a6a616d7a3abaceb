"""The compiled functions of an experiment, each compiled once: for one run, or for all of one structure."""

import functools
import math
import os
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lib.experiment import Experiment
from lib.runtime import devices, streams


class Compiled:
    """What is compiled of an experiment on devices; arguments are states of `Programs.place`.

    Attributes:
      name: another one for each object and process: runs with one name shared these programs.
      draw: the program of the experiment's `draw`.
    """

    def __init__(self, experiment: Experiment, on_devices: list[jax.Device]):
        """Compiles nothing yet."""
        self._experiment, self._devices = experiment, on_devices
        self._training_steps: dict[Any, Callable] = {}
        self._costs: dict[Callable, tuple[bool, float]] = {}
        self._samples: dict[int, Callable] = {}
        self.draw = jax.jit(experiment.draw)
        self.name = f"{time.time_ns():x}-{os.getpid():x}"

    def training_steps(self, make_batch: Callable, constants: Any) -> Callable:
        """Returns the program of some training steps in one call.

        Args:
          make_batch: `(constants, feed) -> batch`, see lib/data/pipeline.py.
          constants: of it, for their structure.

        Returns:
          `(state, constants, feeds [d, k, ..], key, first step) -> (state, metrics [k])`; the state is
          donated.
        """
        which = make_batch, jax.tree.structure(constants)
        if which not in self._training_steps:
            # Not a bare None: JAX's pmap would mistake an empty dict of constants for one leaf.
            nowhere = jax.tree.map(lambda x: None, constants)
            axes = self._experiment.state_axes
            steps = functools.partial(steps_of_one_call, self._experiment.train_step, make_batch)
            in_axes = (axes, nowhere, 0, None, None)
            self._training_steps[which] = self._pmap(steps, in_axes, (axes, None), donate_argnums=0)
        return self._training_steps[which]

    def cost(self, steps: Callable, *arguments: Any) -> tuple[bool, float]:
        """Returns (whether a step has convolutions, its floating-point operations as far as known).

        Args:
          steps: of `training_steps`.
          arguments: of it, for one step.
        """
        if steps not in self._costs:
            lowered = steps.lower(*arguments)
            operations = (lowered.cost_analysis() or {}).get("flops", math.inf)
            self._costs[steps] = "convolution" in lowered.as_text(), operations
        return self._costs[steps]

    @functools.cached_property
    def eval_steps(self) -> Callable:
        """Returns the program that evaluates some batches in one call.

        `(state, batches [d, k, b, ..], key, number of the first) -> {name: (sum [k, ..], count [k])}`.
        """

        def step(state, batch, key, i):
            return self._experiment.eval_step(state, batch, jax.random.fold_in(key, i))

        def steps(state, batches, key, first):
            k = jax.tree.leaves(batches)[0].shape[0]
            if k == 1:  # no loop, see `steps_of_one_call`
                totals = step(state, jax.tree.map(lambda x: x[0], batches), key, first)
                return jax.tree.map(lambda x: x[None], totals)
            numbers = first + jnp.arange(k, dtype=jnp.uint32)
            return jax.lax.map(lambda x: step(state, x[0], key, x[1]), (batches, numbers))

        return self._pmap(steps, (self._experiment.state_axes, 0, None, None), None)

    @functools.cached_property
    def eval_state(self) -> Callable:
        """Returns the program `(whole state) -> {name: scalar}`."""
        return jax.jit(self._experiment.eval_state)

    def samples(self, batch_size: int) -> Callable:
        """Returns the program `(state, keys [devices]) -> images [devices, batch_size, ..]`."""
        if batch_size not in self._samples:
            self._samples[batch_size] = jax.pmap(
                lambda state, key: self._experiment.outputs["samples"](state, key, batch_size),
                in_axes=(self._experiment.state_axes, 0),
                devices=self._devices,
            )
        return self._samples[batch_size]

    def _pmap(self, function: Callable, in_axes: tuple, out_axes: Any = 0, **kwargs) -> Callable:
        return jax.pmap(
            function,
            axis_name=devices.AXIS,
            in_axes=in_axes,
            out_axes=out_axes,
            devices=self._devices,
            **kwargs,
        )


def steps_of_one_call(
    train_step: Callable,
    make_batch: Callable,
    state: Any,
    constants: Any,
    feeds: Any,
    key: jax.Array,
    first: jax.Array,
) -> tuple[Any, dict[str, jax.Array]]:
    """Makes the k training steps from `first` on, on one device; returns (state, metrics [k]).

    Args:
      train_step: of the experiment.
      make_batch: `(constants, feed) -> batch`.
      state: before the steps.
      constants: of make_batch.
      feeds: leaves [k, ..].
      key: of the run's seed.
      first: number of the first step.
    """

    def one(state, feed, step):
        return train_step(state, make_batch(constants, feed), streams.step_key(key, step))

    k = jax.tree.leaves(feeds)[0].shape[0]
    if k == 1:  # no loop: XLA's CPU backend is slow at convolutions inside one
        state, metrics = one(state, jax.tree.map(lambda x: x[0], feeds), first)
        return state, jax.tree.map(lambda x: x[None], metrics)
    steps = first + jnp.arange(k, dtype=jnp.uint32)
    return jax.lax.scan(lambda s, x: one(s, *x), state, (feeds, steps))
