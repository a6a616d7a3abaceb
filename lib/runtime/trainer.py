"""The loop that trains: the order of data, checkpoints, logs and signals.

    for step in first .. num_steps:  state, metrics = train_step(state, batch(step), key(step))

`key(step)` is fold_in(key(seed), step) and `batch(step)` a function of (seed, step), so a run that is
stopped, in whatever way, and started again is bitwise the run that never stopped.
"""

import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from lib.data import pipeline
from lib.errors import ConfigError
from lib.experiment import State
from lib.runtime import checkpoints, devices
from lib.runtime.interval_means import IntervalMeans, NotFiniteError
from lib.runtime.intervals import Intervals, largest_divisor
from lib.runtime.programs import Programs
from lib.runtime.records import HELD_OUT, TRAINING, first_not_finite
from lib.runtime.results import write_results
from lib.runtime.run_folder import RunFolder
from lib.runtime.signals import stop_requests
from lib.runtime.writers import Writers

_STEPS_PER_CALL = 100
_OPERATIONS_PER_CALL = 1e9  # on a CPU, where they take a tenth of a second: signals wait for a call's end


class Stopped(NamedTuple):
    """How a call of `Trainer.train` ended: at which step, by which signal (None: it is finished)."""

    step: int
    signal: int | None


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
        self._batches = pipeline.make(programs.data.train, order, self._config.dataset.device_limit_gb)
        self._epochs_per_step = order.rows_per_step / order.size
        self._intervals = Intervals(self._config)
        self._per_call = self._config.steps_per_dispatch

    def check(self) -> None:
        """Checks the size of a batch, and how steps and batches are divided.

        Raises:
          ConfigError: the batch is larger than the training split, or does not divide by the devices, or an
            interval by the steps of a call.
        """
        programs = self.programs
        pipeline.check_batch_size(programs.data.train, self._config.batch_size)
        devices.check_divides(
            self._config.batch_size, len(programs.devices), programs.experiment.min_device_batch
        )
        per_call = self._config.steps_per_dispatch
        for every in self._intervals.every:
            if per_call and every % per_call:
                best = largest_divisor(self._intervals.every, per_call)
                raise ConfigError(
                    f"{per_call} does not divide {every}, one of log_every, eval_every, "
                    f"figures_every, checkpoint_every; use {best}, or 0 for the best",
                    "config.steps_per_dispatch",
                )

    def train(self, state: State, first: int) -> Stopped:
        """Trains from step `first` to the end, or until a signal; the last state is saved.

        Raises:
          ConfigError: see `check`.
          NotFiniteError: a metric or the state is not finite; the broken state is not saved.
          lib.runtime.checkpoints.WriteError: a checkpoint could not be written.
        """
        self.check()
        writers = Writers(self.folder, self._config, first)
        try:
            with stop_requests() as asked:
                stopped = self._loop(state, first, writers, asked)
                writers.finish()
        except NotFiniteError as error:
            saved = writers.saved
            kept = f"the checkpoint of step {saved} is kept" if saved else "nothing was saved"
            raise NotFiniteError(f"{error}; {kept}") from error
        finally:
            writers.close()
        return stopped

    def _loop(self, state: State, first: int, writers: Writers, asked: Callable[[], int | None]) -> Stopped:
        programs = self.programs
        constants = programs.replicate(self._batches.constants)
        key, steps = jax.random.key(self._config.seed), self._steps
        state = programs.place(state)  # or the second call would compile again
        if not self._per_call:
            self._per_call = self._best_per_call(state, constants, key, first)
        machine = devices.machine(programs.devices) | {"steps per call": str(self._per_call)}
        self.folder.check_machine(machine, resumes=first > 0)
        done, stop, clock, means = first, None, _StepClock(), IntervalMeans()
        for step, k, feeds in self._dispatches(first):
            state, metrics = steps(state, constants, feeds, key, np.uint32(step))
            if programs.on_cpu:  # queued collectives of several CPU devices deadlock
                jax.block_until_ready(metrics)
            if step == first and writers.is_new:
                _log_first(writers, step, metrics, self._epochs_per_step)
            means.add(step, metrics)
            done = step + k
            writers.progress.advance(k)
            stop = asked()
            if not (self._intervals.must_act(done) or stop):
                continue
            metrics = {"epoch": done * self._epochs_per_step} | means.means()
            self._act(writers, done, state, metrics | clock.rate(done), bool(stop))
            if self._intervals.logs(done):
                means.restart()
            clock.restart(done)
            if stop:
                writers.progress.print(f"stopping at step {done:,}: saving")
                break
        return Stopped(done, stop)

    @functools.cached_property
    def _steps(self) -> Callable:
        return self.programs.training_steps(self._batches.batch, self._batches.constants)

    def _best_per_call(self, state: State, constants: Any, key: jax.Array, first: int) -> int:
        """Returns how many steps a call of the device makes where the config leaves it open.

        A call costs as much as a small step. On CPUs steps with convolutions, which XLA makes slowly inside
        a loop, have calls of their own, and so do large ones.
        """
        most = largest_divisor(self._intervals.every, _STEPS_PER_CALL)
        if most == 1 or not self.programs.on_cpu:
            return most
        feeds = jax.tree.map(lambda x: np.asarray(x)[:, None], self._batches.feed(first))
        step = self._steps.lower(state, constants, feeds, key, np.uint32(first))
        if "convolution" in step.as_text():
            return 1
        operations = (step.cost_analysis() or {}).get("flops", math.inf)
        return largest_divisor([most], max(1, int(_OPERATIONS_PER_CALL / max(operations, 1))))

    def _act(
        self, writers: Writers, done: int, state: State, metrics: Mapping[str, float], stopping: bool
    ) -> None:
        """Logs, evaluates, saves and draws what is due after `done` steps."""
        programs, config, means = self.programs, self._config, None
        writers.progress.show({n: metrics[n] for n in programs.experiment.main_metrics})
        due = self._intervals.is_due
        if self._intervals.logs(done):
            writers.log(TRAINING, done, metrics)
        if due(config.eval_every, done):
            means = programs.means(state)
            held_out = programs.metrics(state, means)
            _check_metrics(held_out, done)
            writers.log(HELD_OUT, done, held_out)
        saves = due(config.checkpoint_every, done) or stopping
        draws = due(config.figures_every, done) or done == config.num_steps
        whole = programs.whole(state) if saves or draws else None
        if saves:
            _check_state(whole, done)
        if draws:  # before the checkpoint is saved: a run that is killed in between does both again
            write_results(programs, self.folder, whole, done, means)
        if saves:
            writers.save(done, whole)

    def _dispatches(self, first: int) -> Iterator[tuple[int, int, Any]]:
        """Yields (first step, number of steps k, feeds [d, k, ..]) of every call of the device."""
        last = self._config.num_steps
        feeds = self._batches.feeds(first, last)
        step = first
        while step < last:
            k = self._intervals.steps_of_call(step, self._per_call)
            parts = [next(feeds) for _ in range(k)]
            yield step, k, jax.tree.map(lambda *x: np.stack(x, 1), *parts)
            step += k


def _log_first(writers: Writers, step: int, metrics: Mapping[str, jax.Array], epochs: float) -> None:
    """Logs what the first step of a run measures, with the parameters that the run begins with."""
    means = IntervalMeans()
    means.add(step, {name: values[:1] for name, values in metrics.items()})
    writers.log(TRAINING, step, {"epoch": step * epochs} | means.means())


def _check_metrics(metrics: Mapping[str, float], step: int) -> None:
    if bad := first_not_finite([(step, metrics)]):
        raise NotFiniteError(f"step {step}: not finite on held-out data: {', '.join(bad[1])}")


def _check_state(state: State, step: int) -> None:
    """Checks that parameters are finite; the rest may hold infinities (line searches do) but no NaN."""
    params = getattr(state, "params", state)
    for tree, sound in ((params, np.isfinite), (state, lambda x: ~np.isnan(x))):
        leaves, _ = jax.tree_util.tree_flatten_with_path(jax.device_get(tree))
        for path, leaf in leaves:
            if not sound(leaf).all():
                raise NotFiniteError(f"step {step}: not finite: state{jax.tree_util.keystr(path)}")


class _StepClock:
    """Steps per second of the steps alone, without compilation, evaluation, pictures and saving."""

    def __init__(self):
        self._time, self._step = None, 0

    def rate(self, step: int) -> dict[str, float]:
        """Returns {"steps_per_second": since `restart`}; nothing for the first interval, which compiles."""
        if self._time is None:
            return {}
        return {"steps_per_second": (step - self._step) / (time.monotonic() - self._time)}

    def restart(self, step: int) -> None:
        self._time, self._step = time.monotonic(), step
