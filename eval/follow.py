"""Scores every checkpoint of a run while it is written, each once, and keeps the best."""

import contextlib
import time
from collections.abc import Callable, Iterator

from eval.best_checkpoint import BestCheckpoint
from eval.evaluation import Evaluator
from lib.runtime import checkpoints
from lib.runtime.interval_means import NotFiniteError

_SECONDS_BETWEEN_POLLS = 2.0


class Follower:
    """Evaluates checkpoints as they appear, oldest first.

    What metrics/eval.jsonl has of the same checkpoint under the same conditions is not scored again, so a
    restart goes on.

    Attributes:
      best: the best checkpoint so far.
    """

    def __init__(self, evaluator: Evaluator, training_runs: Callable[[], bool] | None = None):
        """Scores nothing yet; `follow` does.

        Args:
          evaluator: of the run.
          training_runs: whether training will still write. By default it will until it has reached its last
            step or has failed: a run that was stopped or killed may be started again.
        """
        self.best = BestCheckpoint(evaluator)
        self._evaluator, self._folder = evaluator, evaluator.folder
        self._training_runs = training_runs or self._unfinished
        self._passed_over: dict[int, int] = {}  # {step: when it was written}: trained anew, it is another
        self._checksums: dict[tuple[int, int], str | None] = {}
        self._seen: set[int] = set()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the right to score this run, which `follow` needs.

        Raises:
          ConfigError: another process holds it.
        """
        with self._folder.lock(".follow", "scoring"):
            self._folder.clean_up()
            yield

    def follow(self) -> dict | None:
        """Scores until training has ended; returns the best record, whose checkpoint is kept in best/.

        Raises:
          WriteError: the best checkpoint cannot be written.
        """
        self.best.recover()
        waits_for = ""
        while True:
            running = self._training_runs()  # asked first: so the last checkpoint is not missed
            known = checkpoints.steps(self._folder.checkpoints)
            scored = self._evaluator.records()
            done = self._done(known, scored)
            new = [step for step in known if step not in done]
            self._mention_dropped(set(known), scored)
            if new:
                self._score(new[0])
            elif not running:
                return self.best.record()
            else:
                waits_for = self._wait(max(known, default=0), waits_for)

    def _done(self, known: list[int], scored: dict[int, dict]) -> set[int]:
        """Returns the steps that need no scoring.

        A step that was trained anew has another checksum, and is scored again.
        """
        same = {s for s in known if s in scored and scored[s]["checkpoint"] == self._checksum(s)}
        return same | {s for s in known if self._passed_over.get(s) == self._written(s)}

    def _score(self, step: int) -> None:
        """Evaluates a step and keeps it if it is the best; passes over one that is gone meanwhile."""
        folder, written = self._folder.checkpoints, self._written(step)
        try:
            state = checkpoints.restore(folder, step, self._evaluator.programs.abstract_state())
            record = self._evaluator.score(state, step)
        except checkpoints.DamagedError as error:
            time.sleep(_SECONDS_BETWEEN_POLLS)  # training may be in the middle of deleting it
            if (folder / str(step)).exists():
                print(f"checkpoint of step {step} is damaged: {error}; it is not scored")
                self._passed_over[step] = written
            return
        except NotFiniteError as error:
            print(error)
            self._passed_over[step] = written
            return
        others = [r for s, r in self._evaluator.records().items() if s != step]
        if self.best.of([*others, record]) is record:  # kept first: a kill in between loses nothing
            self.best.keep(record, state)
        self._evaluator.record(record)

    def _wait(self, newest: int, said: str) -> str:
        """Waits a moment for a checkpoint after the newest; returns what it says, which is printed once."""
        text = f"waiting for a checkpoint after step {newest:,}{self._idle()}"
        if text != said:
            print(text, flush=True)
        time.sleep(_SECONDS_BETWEEN_POLLS)
        return text

    def _idle(self) -> str:
        """Describes the state of a training that does not run; returns nothing for one that does."""
        if self._folder.is_training():
            return ""
        status = self._folder.status().get("status", "not begun")
        return f"; training is {status}, and waited for: start it again, or end this with Ctrl-C"

    def _unfinished(self) -> bool:
        """Tells whether training runs, or may be started again to reach its last step."""
        if self._folder.is_training():
            return True
        last = self._folder.read_config().num_steps  # it may have been raised meanwhile
        reached = self._folder.newest_step() >= last
        status = self._folder.status()
        return not (reached or status.get("status") == "failed" or status.get("reached"))

    def _mention_dropped(self, known: set[int], scored: dict[int, dict]) -> None:
        """Prints the steps that were seen, and are gone before they were scored."""
        finished = scored.keys() | self._passed_over.keys()
        for step in sorted(self._seen - known - finished):
            print(f"step {step:,} was dropped by training before its turn; raise config.keep_checkpoints")
        self._seen = known

    def _written(self, step: int) -> int:
        """Returns when a step was written, in nanoseconds; 0 for one that is gone."""
        try:
            return (self._folder.checkpoints / str(step)).stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _checksum(self, step: int) -> str | None:
        """Returns the checksum that was saved with a step, read once for each time that it was written."""
        key = (step, self._written(step))
        if key not in self._checksums:
            self._checksums[key] = checkpoints.saved_checksum(self._folder.checkpoints, step)
        return self._checksums[key]
