"""Scores every checkpoint of a run while it is written, each once, and keeps the best."""

import contextlib
import shutil
import time
from collections.abc import Callable

from eval.evaluation import Evaluator
from lib.errors import ConfigError
from lib.experiment import State
from lib.runtime import checkpoints, records
from lib.runtime.run_folder import RunFolder
from lib.runtime.trainer import NotFiniteError

_SECONDS_BETWEEN_LOOKS = 2.0


class Follower:
    """Evaluates checkpoints as they appear, oldest first.

    What metrics/eval.jsonl has of the same checkpoint under the same conditions is not scored again, so a
    restart goes on.
    """

    def __init__(self, evaluator: Evaluator, training_runs: Callable[[], bool] | None = None):
        """Takes an evaluator of the run, and what tells whether its training will still write.

        By default that is so until training has reached its last step or has failed: a run that was stopped
        or killed may be started again.
        """
        self._evaluator, self._folder = evaluator, evaluator.folder
        self._training_runs = training_runs or self._unfinished
        self._passed_over: dict[int, int] = {}  # {step: when it was written}: trained anew, it is another
        self._checksums: dict[tuple[int, int], str | None] = {}
        self._seen: set[int] = set()

    def follow(self) -> dict | None:
        """Scores until training has ended; returns the best record, whose checkpoint is kept in best/.

        Raises:
          ConfigError: another process follows this run.
          WriteError: the best checkpoint cannot be written.
        """
        with self._folder.lock(".follow", "scoring"):
            return self._follow()

    def _follow(self) -> dict | None:
        said = None
        self._keep_what_a_kill_left()
        while True:
            running = self._training_runs()  # asked before the look: so the last checkpoint is not missed
            known = checkpoints.steps(self._folder.checkpoints)
            done = self._done(known)
            new = [step for step in known if step not in done]
            self._mention_dropped(set(known))
            if new:
                self._score(new[0])
            elif not running:
                return self.best()
            else:
                text = f"waiting for a checkpoint after step {max(known, default=0):,}{self._idle()}"
                if said != text:
                    print(text, flush=True)
                    said = text
                time.sleep(_SECONDS_BETWEEN_LOOKS)

    def best(self) -> dict | None:
        """The best record so far by `config.eval.best_metric`, or None."""
        return self._best_of(list(self._evaluator.records().values()))

    def _best_of(self, scored: list[dict]) -> dict | None:
        """Returns the first of the best."""
        if not scored:
            return None
        name = self.metric(scored[0])
        sign = "-" if self._evaluator.config.eval.best_metric.startswith("-") else ""
        return records.best(scored, sign + name)

    def metric(self, record: dict) -> str:
        """The metric that the best checkpoint is chosen by.

        Raises:
          ConfigError: the config names one that the evaluation does not have.
        """
        known = [n for n, v in record.items() if isinstance(v, float) and not n.endswith("_std")]
        wanted = self._evaluator.config.eval.best_metric.removeprefix("-")
        if wanted and wanted not in known:
            raise ConfigError(f"config.eval.best_metric: no metric '{wanted}'; known: {', '.join(known)}")
        if wanted:
            return wanted
        network = self._evaluator.network
        return network.names["score"] if network else "accuracy" if "accuracy" in known else known[0]

    def kept(self) -> int | None:
        """The step in best/."""
        return max(checkpoints.steps(RunFolder(self._folder.path / "best").checkpoints), default=None)

    def _done(self, known: list[int]) -> set[int]:
        """Steps that need no scoring: trained anew, a step has another checksum, and is scored again."""
        scored = self._evaluator.records()
        same = {s for s in known if s in scored and scored[s]["checkpoint"] == self._checksum(s)}
        return same | {s for s in known if self._passed_over.get(s) == self._written(s)}

    def _written(self, step: int) -> int:
        """When a step was written, in nanoseconds; 0 for one that is gone."""
        try:
            return (self._folder.checkpoints / str(step)).stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _checksum(self, step: int) -> str | None:
        key = (step, self._written(step))
        if key not in self._checksums:
            self._checksums[key] = checkpoints.saved_checksum(self._folder.checkpoints, step)
        return self._checksums[key]

    def _mention_dropped(self, known: set[int]) -> None:
        for step in sorted(
            self._seen - known - self._evaluator.records().keys() - self._passed_over.keys()
        ):
            print(f"step {step:,} was dropped by training before its turn; raise config.keep_checkpoints")
        self._seen = known

    def _score(self, step: int) -> None:
        """Evaluates a step and keeps it if it is the best; one that is gone meanwhile is passed over."""
        folder, written = self._folder.checkpoints, self._written(step)
        try:
            state = checkpoints.restore(folder, step, self._evaluator.programs.abstract_state())
            record = self._evaluator.score(state, step)
        except checkpoints.DamagedError as error:
            time.sleep(_SECONDS_BETWEEN_LOOKS)  # training may be in the middle of deleting it
            if (folder / str(step)).exists():
                print(f"checkpoint of step {step} is damaged: {error}; it is not scored")
                self._passed_over[step] = written
            return
        except NotFiniteError as error:
            print(error)
            self._passed_over[step] = written
            return
        others = [r for s, r in self._evaluator.records().items() if s != step]
        if self._best_of([*others, record]) is record:  # kept first: a kill in between loses nothing
            self._keep(record, state)
        self._evaluator.record(record)

    def _keep(self, record: dict, state: State) -> None:
        keep_best(self._folder, record["step"], state)
        kept = self._folder.path / "best"
        print(f"step {record['step']:,} is the best so far by {self.metric(record)}: kept in {kept}")

    def _keep_what_a_kill_left(self) -> None:
        """Brings best/ up to date where an earlier follower was ended, or another metric is asked for."""
        recover_best(self._folder)
        best = self.best()
        if best and best["step"] != self.kept():
            with contextlib.suppress(checkpoints.DamagedError):  # training has dropped it meanwhile
                target = self._evaluator.programs.abstract_state()
                state = checkpoints.restore(self._folder.checkpoints, best["step"], target)
                self._keep(best, state)

    def _unfinished(self) -> bool:
        if self._folder.is_training():
            return True
        last = self._folder.read_config().num_steps  # it may have been raised meanwhile
        reached = max(checkpoints.steps(self._folder.checkpoints), default=0) >= last
        return not reached and self._folder.status().get("status") != "failed"

    def _idle(self) -> str:
        if self._folder.is_training():
            return ""
        status = self._folder.status().get("status", "not begun")
        return f"; training is {status}, and waited for: start it again, or end this with Ctrl-C"


def keep_best(folder: RunFolder, step: int, state: State) -> None:
    """Writes a checkpoint to best/, a work directory of its own, in place of the one before.

    Training keeps only its newest checkpoints, and knows nothing of this one: neither deletes the other's.
    """
    new, kept, old = (RunFolder(folder.path / name) for name in ("best.tmp", "best", "best.old"))
    for left in (new, old):
        shutil.rmtree(left.path, ignore_errors=True)
    new.create()
    shutil.copy2(folder.config, new.config)
    writer = checkpoints.Writer(new.checkpoints, keep=1)
    writer.save(step, state)
    writer.close()
    if kept.path.exists():
        kept.path.rename(old.path)
    new.path.rename(kept.path)
    shutil.rmtree(old.path, ignore_errors=True)


def recover_best(folder: RunFolder) -> None:
    """Puts the best checkpoint back in place that a kill in the middle of `keep_best` has left beside it."""
    kept, old = folder.path / "best", folder.path / "best.old"
    if old.exists() and not kept.exists():
        old.rename(kept)
