"""What one run writes while it trains, and when: metrics, checkpoints, pictures and how far it is."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import numpy as np

from lib.data.epochs import Epochs
from lib.experiment import State
from lib.runtime.epoch_means import EpochMeans
from lib.runtime.interval_means import IntervalMeans, NotFiniteError
from lib.runtime.intervals import Intervals, Timer
from lib.runtime.programs import Programs
from lib.runtime.records import EPOCHS, HELD_OUT, TRAINING, first_not_finite
from lib.runtime.results import write_results
from lib.runtime.run_folder import RunFolder
from lib.runtime.threshold import StopAt
from lib.runtime.writers import Writers

_LOG, _CHECKPOINT = "log", "checkpoint"  # what may be due by the clock
_ON_HELD_OUT = "test"  # what thresholds and sweeps call the run's own held-out metrics


class Recorder:
    """The records of one call of training, whoever makes the steps.

    Attributes:
      done: how many steps the run has made.
      has_reached: whether `config.stop_at` is reached, and the run is to stop.
    """

    def __init__(
        self,
        programs: Programs,
        folder: RunFolder,
        intervals: Intervals,
        first: int,
        epochs: Epochs,
        timed: bool = True,
    ):
        """Opens the writers.

        Args:
          first: the step that training begins with.
          epochs: how steps divide into them.
          timed: whether steps per second are among the metrics: not where other runs take turns.
        """
        self._programs, self._folder, self._intervals = programs, folder, intervals
        self._first, self._epochs = first, epochs
        self._epoch_means = EpochMeans(epochs) if programs.config.epoch_means else None
        self._writers = Writers(folder, programs.config, first)
        self._means, self._clock, self._timed = IntervalMeans(), _StepClock(), timed
        config = programs.config
        self._timer = Timer({_LOG: config.log_seconds, _CHECKPOINT: config.checkpoint_seconds})
        self._stop_at = StopAt(config.stop_at)
        self.done, self.has_reached = first, False

    def after(
        self, k: int, metrics: Mapping[str, Any], state: Callable[[], State], stopping: bool = False
    ) -> None:
        """Takes note of k more steps: logs, evaluates, draws and saves what is due.

        Args:
          metrics: arrays [k].
          state: gives the state after them, placed; called if it is needed.
          stopping: whether the run stops here: the state is saved.

        Raises:
          NotFiniteError: a metric or the state is not finite; the broken state is not saved.
          lib.runtime.checkpoints.WriteError: a checkpoint could not be written.
        """
        try:
            self._after(k, metrics, state, stopping)
        except NotFiniteError as error:
            saved = self._writers.saved
            kept = f"the checkpoint of step {saved} is kept" if saved else "nothing was saved"
            raise NotFiniteError(f"{error}; {kept}", error.names) from error

    def finish(self) -> None:
        """Waits until the last checkpoint is written.

        Raises:
          lib.runtime.checkpoints.WriteError: it could not be.
        """
        self._writers.finish()

    def close(self) -> None:
        """Closes what is open, also after an error."""
        self._writers.close()

    def _after(
        self, k: int, metrics: Mapping[str, Any], state: Callable[[], State], stopping: bool
    ) -> None:
        if self.done == self._first and self._writers.is_new:
            self._log_first(metrics)
        self._means.add(self.done, metrics)
        self._log_epochs(metrics)
        self.done += k
        self._writers.progress.advance(k)
        late = self._timer.late()
        if not (self._intervals.must_act(self.done) or stopping or late):
            return
        self._act(state, stopping, late)
        if self._intervals.logs(self.done):
            self._means.restart()
        self._clock.restart(self.done)
        if stopping:
            self._writers.progress.print(f"stopping at step {self.done:,}: saving")

    def _act(self, state: Callable[[], State], stopping: bool, late: Collection[str]) -> None:
        """Logs, evaluates, saves and draws what is due.

        Args:
          late: what is due by the clock. A line of metrics then has the means so far: the next one at its
            step is that of a run without clock, and so is what it stops at.
        """
        programs, config, done, writers = self._programs, self._programs.config, self.done, self._writers
        if self._epoch_means:
            self._epoch_means.fetch()
        of_steps = self._means.means()  # the same in all processes, which are to stop at one step
        if self._intervals.logs(done):
            self.has_reached = self._stop_at.is_reached(TRAINING, of_steps)
        metrics = {"epoch": done * self._epochs.per_step} | of_steps
        metrics |= self._clock.rate(done) if self._timed else {}
        writers.progress.show({n: metrics[n] for n in programs.experiment.main_metrics})
        due, means, placed = self._intervals.is_due, None, None
        if self._intervals.logs(done) or _LOG in late:
            writers.log(TRAINING, done, metrics)
            self._timer.restart(_LOG)
        evaluates = due(config.eval_every, done) or (config.eval_every and self.has_reached)
        if evaluates:
            placed = state()
            means = programs.means(placed)
            held_out = programs.metrics(placed, means)
            _check_metrics(held_out, done)
            writers.log(HELD_OUT, done, held_out)
            self.has_reached |= self._stop_at.is_reached(_ON_HELD_OUT, held_out)
        saves = due(config.checkpoint_every, done) or _CHECKPOINT in late or stopping or self.has_reached
        draws = due(config.figures_every, done) or done == config.num_steps or self.has_reached
        if placed is None and (saves or draws):
            placed = state()
        whole = programs.whole(placed) if saves or draws else None
        if saves:
            _check_state(whole, done)
        if draws:  # before the checkpoint is saved: a run that is killed in between does both again
            for picture in write_results(programs, self._folder, whole, done, means):
                writers.picture(done, picture)
        if saves:
            writers.save(done, whole)
            self._timer.restart(_CHECKPOINT)

    def _log_epochs(self, metrics: Mapping[str, jax.Array]) -> None:
        """Logs the means of epochs that end with the next steps, if that is asked for."""
        if self._epoch_means:
            for step, means in self._epoch_means.add(self.done, metrics).items():
                self._writers.log(EPOCHS, step, means)

    def _log_first(self, metrics: Mapping[str, jax.Array]) -> None:
        """Logs what the first step of a run measures, with the parameters that the run begins with."""
        if self._stop_at.source == TRAINING:
            self._stop_at.check(metrics)
        means = IntervalMeans()
        means.add(self.done, {name: values[:1] for name, values in metrics.items()})
        epoch = self.done * self._epochs.per_step
        self._writers.log(TRAINING, self.done, {"epoch": epoch} | means.means())


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
