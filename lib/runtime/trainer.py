"""The loop that trains: the order of data, checkpoints, logs and signals.

    for step in first .. num_steps:  state, metrics = train_step(state, batch(step), key(step))

`key(step)` is fold_in(key(seed), step) and `batch(step)` a function of (seed, step), so a run that is
stopped, in whatever way, and started again is bitwise the run that never stopped.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from lib.data import pipeline
from lib.data.epochs import Epochs
from lib.errors import ConfigError
from lib.experiment import State
from lib.runtime import checkpoints, devices, processes
from lib.runtime.intervals import Intervals, largest_divisor
from lib.runtime.profile import Profile
from lib.runtime.programs import Programs
from lib.runtime.recorder import Recorder
from lib.runtime.run_folder import RunFolder
from lib.runtime.signals import stop_requests
from lib.runtime.threshold import StopAt

_STEPS_PER_CALL = 100
_OPERATIONS_PER_CALL = 1e9  # on a CPU, where they take a tenth of a second: signals wait for a call's end


class Stopped(NamedTuple):
    """How a call of `Trainer.train` ended.

    Attributes:
      step: at which step.
      signal: by which signal; None: it is finished.
      has_reached: whether it is finished because `config.stop_at` was reached.
    """

    step: int
    signal: int | None
    has_reached: bool = False


def first_state(programs: Programs, folder: RunFolder) -> tuple[int, State]:
    """Returns (step, state) to train from: the folder's newest checkpoint, else a new one.

    Raises:
      ConfigError: all checkpoints are damaged, or of another experiment.
    """
    if checkpoints.steps(folder.checkpoints):
        target = programs.abstract_state()
        if newest := checkpoints.restore_newest(folder.checkpoints, target, move_damaged=True):
            return newest
    return 0, programs.init()


class Trainer:
    """Trains one experiment in one folder.

    Attributes:
      programs: of the experiment.
      folder: where it writes.
      batches: of the training split, in the order of the run's seed.
      intervals: at which it writes.
      profile: of how many of its steps one is written.
    """

    def __init__(self, programs: Programs, folder: RunFolder):
        """Places nothing on devices; `train` does."""
        self.programs, self.folder = programs, folder
        self._config, experiment = programs.config, programs.experiment
        order = pipeline.Order(
            programs.data.train.size,
            self._config.batch_size,
            self._config.seed,
            len(programs.devices),
            experiment.batches_per_step,
            programs.local,
        )
        self.profile = Profile(Path(), 0)  # of nothing
        self.batches = pipeline.make(programs.data.train, order, self._config.dataset.device_limit_gb)
        self._epochs = Epochs(order.size, order.rows_per_step)
        self.intervals = Intervals(self._config)

    def check(self) -> None:
        """Checks the size of a batch, and how steps and batches are divided.

        Raises:
          ConfigError: the batch is larger than the training split, or does not divide by the devices, or an
            interval by the steps of a call.
        """
        programs, experiment = self.programs, self.programs.experiment
        pipeline.check_batch_size(programs.data.train, self._config.batch_size)
        devices.check_divides(
            self._config.batch_size,
            len(programs.devices),
            experiment.min_device_batch,
            experiment.device_batch_multiple,
        )
        per_call = self._config.steps_per_dispatch
        for every in self.intervals.every:
            if per_call and every % per_call:
                best = largest_divisor(self.intervals.every, per_call)
                raise ConfigError(
                    f"{per_call} does not divide {every}, one of log_every, eval_every, "
                    f"figures_every, checkpoint_every; use {best}, or 0 for the best",
                    "config.steps_per_dispatch",
                )
        if processes.count() > 1:
            for field in ("log_seconds", "checkpoint_seconds"):
                if getattr(self._config, field):
                    text = "several processes have several clocks; set it to 0"
                    raise ConfigError(text, f"config.{field}")
        self._check_stop_at()

    def _check_stop_at(self) -> None:
        """Checks that what the run is to stop at is measured."""
        stop_at = StopAt(self._config.stop_at)
        if stop_at.source == "test":
            if not self._config.eval_every:
                raise ConfigError("needs held-out metrics; set config.eval_every", "config.stop_at")
            stop_at.check(self.programs.metric_names())

    def recorder(self, first: int, timed: bool = True) -> Recorder:
        """Opens the run's records, from step `first` on; `timed` says whether steps per second are one."""
        return Recorder(self.programs, self.folder, self.intervals, first, self._epochs, timed)

    def train(self, state: State, first: int, asked: Callable[[], int | None] | None = None) -> Stopped:
        """Trains from step `first` to the end, or until a signal; the last state is saved.

        Args:
          asked: of `lib.runtime.signals.stop_requests`, of who trains several runs.

        Raises:
          ConfigError: see `check`.
          NotFiniteError: a metric or the state is not finite; the broken state is not saved.
          lib.runtime.checkpoints.WriteError: a checkpoint could not be written.
        """
        self.check()
        placed = self.programs.place(state)  # or the second call would compile again
        per_call = self.steps_per_call(placed, first)
        self.note_machine(per_call, first)
        recorder = self.recorder(first)
        try:
            with contextlib.nullcontext(asked) if asked else stop_requests() as asks:
                _, stop = self.advance(placed, recorder, self._config.num_steps, per_call, asks)
                recorder.finish()
        finally:
            recorder.close()
            self.profile.close()
        return Stopped(recorder.done, stop, recorder.has_reached)

    def advance(
        self,
        state: State,
        recorder: Recorder,
        last: int,
        per_call: int,
        asked: Callable[[], int | None],
    ) -> tuple[State, int | None]:
        """Trains to step `last`, or until a signal.

        Args:
          state: placed; donated.
          recorder: of the run, where it says how many steps are done.
          per_call: `steps_per_call`.
          asked: of `lib.runtime.signals.stop_requests`.

        Returns:
          (the placed state, the signal or None).
        """
        programs, steps, key = self.programs, self._steps, jax.random.key(self._config.seed)
        constants, stop = programs.constants(self.batches), None
        for step, k, feeds in self._dispatches(recorder.done, last, per_call):
            self.profile.before_call(self.folder.ours)
            state, metrics = steps(state, constants, feeds, key, np.uint32(step))
            if programs.on_cpu:  # queued collectives of several CPU devices deadlock
                jax.block_until_ready(metrics)
            self.profile.after_call(k, metrics)
            stop = asked()
            recorder.after(k, metrics, lambda state=state: state, bool(stop))
            if stop or recorder.has_reached:
                break
        return state, stop

    def note_machine(self, per_call: int, first: int, lanes: int = 1) -> None:
        """Records what the run's rounding depends on; says so where it went on with something else."""
        here = devices.machine(self.programs.devices)
        here |= {"steps per call": str(per_call), "lanes": str(lanes)}
        here["program"] = self.programs.compiled.name
        self.folder.check_machine(here, resumes=first > 0)

    @functools.cached_property
    def _steps(self) -> Callable:
        return self.programs.compiled.training_steps(self.batches.batch, self.batches.constants)

    def steps_per_call(self, state: State, first: int) -> int:
        """Returns how many steps a call of the device makes.

        Where the config leaves it open: a call costs as much as a small step. On CPUs steps with
        convolutions, which XLA makes slowly inside a loop, have calls of their own, and so do large ones.

        Args:
          state: placed.
          first: the step that it is of.
        """
        if self._config.steps_per_dispatch:
            return self._config.steps_per_dispatch
        most = largest_divisor(self.intervals.every, _STEPS_PER_CALL)
        if most == 1 or not self.programs.on_cpu:
            return most
        has_convolutions, operations = self.cost(state, first)
        if has_convolutions:
            return 1
        return largest_divisor([most], max(1, int(_OPERATIONS_PER_CALL / max(operations, 1))))

    def cost(self, state: State, first: int) -> tuple[bool, float]:
        """Returns `lib.runtime.compiled.Compiled.cost` of the run's step."""
        program, arguments = self.one_step(state, first)
        return self.programs.compiled.cost(program, *arguments)

    def one_step(self, state: State, first: int) -> tuple[Callable, tuple]:
        """Returns (the program of training steps, its arguments for the one from step `first`).

        Args:
          state: placed.
        """
        feeds = jax.tree.map(lambda x: np.asarray(x)[:, None], self.batches.feed(first))
        key, constants = jax.random.key(self._config.seed), self.programs.constants(self.batches)
        return self._steps, (state, constants, feeds, key, np.uint32(first))

    def _dispatches(self, first: int, last: int, per_call: int) -> Iterator[tuple[int, int, Any]]:
        """Yields (first step, number of steps k, feeds [d, k, ..]) of every call of the device."""
        feeds = self.batches.feeds(first, last)
        step = first
        while step < last:
            k = self.intervals.steps_of_call(step, per_call)
            parts = [next(feeds) for _ in range(k)]
            yield step, k, jax.tree.map(lambda *x: np.stack(x, 1), *parts)
            step += k
