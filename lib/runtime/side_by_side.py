"""The loop that trains runs side by side in lanes, each with its own records and its own end."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import jax
import numpy as np

from lib.experiment import State
from lib.runtime.lanes import Lanes
from lib.runtime.programs import Programs
from lib.runtime.trainer import Stopped, Trainer


class LaneRun(Protocol):
    """A run that waits for a lane.

    Attributes:
      trainer: of it, on one device.
      step: where it begins.
      state: whole, of that step.
    """

    trainer: Trainer
    step: int
    state: State

    def working(self) -> contextlib.AbstractContextManager:
        """Returns a context for all that is done for this run alone, such as where it prints."""

    def end(self, stopped: Stopped) -> Any:
        """Writes down that the run is finished, or was stopped."""

    def fail(self, error: Exception) -> Any:
        """Writes down why the run failed; the others go on."""

    def close(self) -> None:
        """Lets go of the run's folder."""


def train_side_by_side(
    lanes: Lanes, queue: Iterator[LaneRun], per_call: int, asked: Callable[[], int | None]
) -> int | None:
    """Trains runs side by side; a lane whose run has ended or failed takes the next one.

    Args:
      lanes: empty.
      queue: the runs, opened as they are taken.
      per_call: the steps of one call.
      asked: of `lib.runtime.signals.stop_requests`.

    Returns:
      The signal that stopped them, or None.

    Raises:
      Exception: of the program of all lanes, too little memory for instance. Runs that were in them are
        closed, and neither ended nor failed.
    """
    riders: dict[int, _Rider] = {}
    try:
        _fill(lanes, riders, queue, per_call, asked)
        while riders:
            if stop := _advance(lanes, riders, per_call, asked):
                return stop
            if len(riders) < lanes.n:
                _fill(lanes, riders, queue, per_call, asked)
    finally:  # with an error of the program of all of them, they can go on from their checkpoints
        with contextlib.ExitStack() as closing:
            closing.callback(lanes.close)
            for rider in riders.values():
                closing.callback(rider.run.close)
                closing.callback(rider.close)
    return asked()


class _Rider:
    """A run in a lane: its records, and what its next steps read."""

    def __init__(self, run: LaneRun, per_call: int):
        """Opens nothing; `begin` does."""
        self.run, self.recorder, self._feeds = run, None, None
        self._intervals, self._last = run.trainer.intervals, run.trainer.programs.config.num_steps
        self._per_call, self.has_ended = per_call, False

    @property
    def is_done(self) -> bool:
        """Tells whether the run has made its last step."""
        return self.recorder.done >= self._last or self.recorder.has_reached

    def begin(self, lanes: int, asked: Callable[[], int | None]) -> tuple[State, int | None]:
        """Opens the records, and makes the steps up to a multiple of those of a call.

        Lanes make their steps together, from such a multiple on.

        Returns:
          (the whole state, the signal that stopped the run or None).
        """
        trainer, step = self.run.trainer, self.run.step
        trainer.note_machine(self._per_call, step, lanes)
        self.recorder = trainer.recorder(step, timed=False)
        state, stop, self.run.state = self.run.state, None, None  # a lane will have it
        if rest := step % self._per_call:
            to, placed = min(step - rest + self._per_call, self._last), trainer.programs.place(state)
            placed, stop = trainer.advance(placed, self.recorder, to, self._per_call, asked)
            state = jax.device_get(trainer.programs.whole(placed))
        self._feeds = trainer.batches.feeds(self.recorder.done, self._last)
        return state, stop

    def steps_of_call(self) -> int:
        """Returns how many steps the next call may make."""
        return self._intervals.steps_of_call(self.recorder.done, self._per_call)

    def feed(self, k: int) -> Any:
        """Returns the feed of the next k steps, leaves [k, ..]."""
        parts = [jax.tree.map(lambda x: np.asarray(x)[0], next(self._feeds)) for _ in range(k)]
        return jax.tree.map(lambda *x: np.stack(x), *parts)

    def end(self, signal: int | None) -> None:
        """Ends a run that is finished or stopped."""
        self.recorder.finish()
        self.run.end(Stopped(self.recorder.done, signal, self.recorder.has_reached))
        self.has_ended = True

    def close(self) -> None:
        """Closes the records and stops making batches; a second call does nothing."""
        feeds, recorder, self._feeds, self.recorder = self._feeds, self.recorder, None, None
        if hasattr(feeds, "close"):
            feeds.close()
        if recorder is not None:
            recorder.close()


def _fill(
    lanes: Lanes,
    riders: dict[int, _Rider],
    queue: Iterator[LaneRun],
    per_call: int,
    asked: Callable[[], int | None],
) -> None:
    """Gives free lanes to the next runs."""
    states = {}
    for lane in [lane for lane in range(lanes.n) if lane not in riders]:
        while lane not in riders and (run := next(queue, None)) is not None:
            rider = _Rider(run, per_call)
            with _alone(rider):
                state, stop = rider.begin(lanes.n, asked)
                if stop or rider.is_done:  # in the steps up to a multiple
                    rider.end(stop)
            if not rider.has_ended:
                riders[lane], states[lane] = rider, state
    if states and len(states) == len(riders):
        lanes.fill(list(states.values()))  # of lanes 0, 1, ..
    else:
        for lane, state in states.items():
            lanes.put(lane, state)
    if riders:
        seated = [riders.get(lane, riders[min(riders)]).run.trainer for lane in range(lanes.n)]
        keys = [jax.random.key(trainer.programs.config.seed) for trainer in seated]
        lanes.seat(keys, [trainer.batches.constants for trainer in seated])


def _advance(
    lanes: Lanes, riders: dict[int, _Rider], per_call: int, asked: Callable[[], int | None]
) -> int | None:
    """Makes a call of all lanes; runs that end or fail leave theirs. Returns the signal, or None."""
    k = min(rider.steps_of_call() for rider in riders.values())
    feeds = {}
    for lane, rider in list(riders.items()):
        with _alone(rider):
            feeds[lane] = rider.feed(k)
        if rider.has_ended:
            del riders[lane]
    if not riders:
        return asked()
    some = min(riders)  # whose feed idle lanes get: what comes of them is not looked at
    at = [riders.get(lane, riders[some]).recorder.done for lane in range(lanes.n)]
    metrics = lanes.step([feeds.get(lane, feeds[some]) for lane in range(lanes.n)], at)
    stop = asked()
    for lane, rider in list(riders.items()):
        with _alone(rider):
            of_lane = {name: values[lane] for name, values in metrics.items()}
            state = functools.partial(_placed, rider.run.trainer.programs, lanes, lane)
            rider.recorder.after(k, of_lane, state, bool(stop))
            if stop or rider.is_done:
                rider.end(stop)
        if rider.has_ended:
            del riders[lane]
    return stop


def _placed(programs: Programs, lanes: Lanes, lane: int) -> State:
    """Returns the state of a lane on the run's own device."""
    return programs.place(lanes.take(lane))


@contextlib.contextmanager
def _alone(rider: _Rider) -> Iterator[None]:
    """Makes what goes wrong with one run its own failure, and closes it if it has ended."""
    with rider.run.working():
        try:
            yield
            if rider.has_ended:
                rider.close()
        except Exception as error:
            rider.has_ended = True
            with contextlib.suppress(Exception):  # the first error counts
                rider.close()
            rider.run.fail(error)
    if rider.has_ended:
        rider.run.close()
