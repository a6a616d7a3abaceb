"""How many runs of a group train side by side: measured on the spot, with the group's first run."""

import contextlib
import math
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np

from lib.experiment import State
from lib.runtime.lanes import Lanes
from lib.runtime.trainer import Trainer

_CANDIDATES = {True: (8,), False: (8, 64, 512)}  # on CPUs, on accelerators
_GAIN = 0.9  # of the time of a run's step, at most: lanes change the rounding
_SECONDS = 0.2  # of each measurement
_COMPILING = 10  # times the seconds of tracing, about what it takes to compile lanes of it
_LEAST_SECONDS = 1.0  # of compiling and measuring
_GUESS = 0.25  # share of the steps' time that lanes save; if that is little, they are not measured


def best(
    trainer: Trainer, alone: Trainer, state: State, num_runs: int, on_devices: Sequence[jax.Device]
) -> int:
    """Returns how many lanes make the steps of a group's runs fastest; 1: one run after another.

    On CPUs, steps with convolutions get 1 unmeasured: vmap may make them much slower (on 2 cores, a run's
    step of configs/classifier/digits.py takes 1.7 ms alone and 4.2 ms in 4 lanes), and gains little at best
    (configs/gan/digits.py: 4.5 and 3.6 ms). So do runs whose steps take less time than it would take to
    measure.

    Args:
      trainer: of the first run, on one device.
      alone: the same on all devices.
      state: whole.
      num_runs: of the group.
      on_devices: among which lanes would be shared.
    """
    programs, n = trainer.programs, len(on_devices)
    placed = programs.place(state)
    begun = time.monotonic()
    has_convolutions, _ = trainer.cost(placed, 0)
    traced = time.monotonic() - begun
    if num_runs == 1 or (programs.on_cpu and has_convolutions):
        return 1
    seconds = _seconds_alone(alone, alone.programs.place(state))
    to_gain = _GUESS * seconds * num_runs * programs.config.num_steps
    if to_gain < 2 * max(_COMPILING * traced, _LEAST_SECONDS):
        return 1
    fastest, chosen = seconds, 1
    for most in _CANDIDATES[programs.on_cpu]:
        lanes = even(num_runs, n * most, n)
        if lanes <= chosen:
            break
        try:
            each = _seconds_in_lanes(trainer, state, placed, lanes, on_devices)
        except (jax.errors.JaxRuntimeError, NotImplementedError):  # too little memory; no such program
            break
        if each > _GAIN * fastest:
            break
        fastest, chosen = each, lanes
    return chosen


def even(num_runs: int, most: int, num_devices: int) -> int:
    """Returns how many lanes, at most `most`, share the runs in equal rounds; a multiple of the devices."""
    rounds = math.ceil(num_runs / most)
    return num_devices * math.ceil(num_runs / rounds / num_devices)


def _seconds_alone(trainer: Trainer, placed: State) -> float:
    """Returns how long a step of the run takes."""
    k = trainer.steps_per_call(placed, 0)
    programs, key = trainer.programs, jax.random.key(0)
    constants = programs.constants(trainer.batches)
    steps = programs.compiled.training_steps(trainer.batches.batch, trainer.batches.constants)
    parts = [trainer.batches.feed(step) for step in range(k)]
    feeds = jax.tree.map(lambda *x: np.stack(x, 1), *parts)
    current = jax.tree.map(lambda x: x.copy(), placed)

    def call():
        nonlocal current
        current, metrics = steps(current, constants, feeds, key, np.uint32(0))
        jax.block_until_ready(metrics)

    return _fastest(call) / k


def _seconds_in_lanes(
    trainer: Trainer, state: State, placed: State, n: int, on_devices: Sequence[jax.Device]
) -> float:
    """Returns how long a step of one of n runs takes, all side by side."""
    k, batches = trainer.steps_per_call(placed, 0), trainer.batches
    parts = [jax.tree.map(lambda x: np.asarray(x)[0], batches.feed(step)) for step in range(k)]
    feeds = jax.tree.map(lambda *x: np.stack(x), *parts)
    with contextlib.closing(Lanes(trainer.programs, batches, n, on_devices)) as lanes:
        lanes.fill([jax.device_get(state)])
        lanes.seat([jax.random.key(0)] * n, [batches.constants] * n)
        return _fastest(lambda: lanes.step([feeds] * n, [0] * n)) / k / n


def _fastest(call: Callable[[], None]) -> float:
    """Returns the shortest time of a call in seconds, after a first one that compiles."""
    call()
    times, until = [], time.monotonic() + _SECONDS
    while len(times) < 3 or time.monotonic() < until:
        begun = time.monotonic()
        call()
        times.append(time.monotonic() - begun)
    return min(times)
