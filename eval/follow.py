"""Scores every checkpoint of a run while it is written, each once, and keeps the best."""

import contextlib
import shutil
import time
from collections.abc import Callable

from eval.evaluation import Evaluator
from lib import checkpoints, metrics
from lib.config import ConfigError, load_json
from lib.experiment import State
from lib.runner import NotFiniteError
from lib.workdir import Workdir

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
        self._evaluator, self._workdir = evaluator, evaluator.runner.workdir
        self._training_runs = training_runs or self._unfinished
        self._passed_over: set[int] = set()
        self._seen: set[int] = set()

    def follow(self) -> dict | None:
        """Scores until training has ended; returns the best record, whose checkpoint is kept in best/."""
        said = None
        self._keep_what_a_kill_left()
        while True:
            running = self._training_runs()  # asked before the look: so the last checkpoint is not missed
            known = checkpoints.steps(self._workdir.checkpoints)
            new = [step for step in known if step not in self._done(known)]
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
        records = list(self._evaluator.records().values())
        if not records:
            return None
        return metrics.best(records, self.metric(records[0]))

    def metric(self, record: dict) -> str:
        """The metric that the best checkpoint is chosen by.

        Raises:
          ConfigError: the config names one that the evaluation does not have.
        """
        known = [n for n, v in record.items() if isinstance(v, float) and not n.endswith("_std")]
        wanted = self._evaluator.config.eval.best_metric
        if wanted and wanted not in known:
            raise ConfigError(f"config.eval.best_metric: no metric '{wanted}'; known: {', '.join(known)}")
        if wanted:
            return wanted
        network = self._evaluator.network
        return network.names["score"] if network else "accuracy" if "accuracy" in known else known[0]

    def kept(self) -> int | None:
        """The step in best/."""
        return max(checkpoints.steps(Workdir(self._workdir.path / "best").checkpoints), default=None)

    def _done(self, known: list[int]) -> set[int]:
        """Steps that need no scoring: trained anew, a step has another checksum, and is scored again."""
        records, folder = self._evaluator.records(), self._workdir.checkpoints
        scored = {s for s in known if s in records}
        same = {s for s in scored if records[s]["checkpoint"] == checkpoints.saved_checksum(folder, s)}
        return same | self._passed_over

    def _mention_dropped(self, known: set[int]) -> None:
        gone = self._seen - known - self._evaluator.records().keys() - self._passed_over
        for step in sorted(gone):
            print(f"step {step:,} was dropped by training before its turn; raise config.keep_checkpoints")
        self._passed_over |= gone
        self._seen |= known

    def _score(self, step: int) -> None:
        """Evaluates a step and keeps it if it is the best; one that is gone meanwhile is passed over."""
        folder = self._workdir.checkpoints
        try:
            state = checkpoints.restore(folder, step, self._evaluator.runner.abstract_state())
            self._evaluator.evaluate(state, step)
        except checkpoints.DamagedError as error:
            time.sleep(_SECONDS_BETWEEN_LOOKS)  # training may be in the middle of deleting it
            if (folder / str(step)).exists():
                print(f"checkpoint of step {step} is damaged: {error}; it is not scored")
                self._passed_over.add(step)
            return
        except NotFiniteError as error:
            print(error)
            self._passed_over.add(step)
            return
        self._keep_if_best(step, state)

    def _keep_if_best(self, step: int, state: State) -> None:
        best = self.best()
        if best["step"] == step:
            keep_best(self._workdir, step, state)
            kept = self._workdir.path / "best"
            print(f"step {step:,} is the best so far by {self.metric(best)}: kept in {kept}")

    def _keep_what_a_kill_left(self) -> None:
        """Keeps the best of what is scored, where an earlier follower was ended before it could."""
        best = self.best()
        if best and best["step"] != self.kept():
            with contextlib.suppress(checkpoints.DamagedError):  # training has dropped it meanwhile
                target = self._evaluator.runner.abstract_state()
                state = checkpoints.restore(self._workdir.checkpoints, best["step"], target)
                self._keep_if_best(best["step"], state)

    def _unfinished(self) -> bool:
        if self._workdir.is_training():
            return True
        last = load_json(self._workdir.config).num_steps  # it may have been raised meanwhile
        reached = last in checkpoints.steps(self._workdir.checkpoints)
        return not reached and self._workdir.status().get("status") != "failed"

    def _idle(self) -> str:
        if self._workdir.is_training():
            return ""
        status = self._workdir.status().get("status", "not begun")
        return f"; training is {status}, and waited for: start it again, or end this with Ctrl-C"


def keep_best(workdir: Workdir, step: int, state: State) -> None:
    """Writes a checkpoint to best/, a work directory of its own, in place of the one before.

    Training keeps only its newest checkpoints, and knows nothing of this one: neither deletes the other's.
    """
    new, kept, old = (Workdir(workdir.path / name) for name in ("best.tmp", "best", "best.old"))
    for left in (new, old):
        shutil.rmtree(left.path, ignore_errors=True)
    new.checkpoints.mkdir(parents=True)
    shutil.copy2(workdir.config, new.config)
    writer = checkpoints.Writer(new.checkpoints, keep=1)
    writer.save(step, state)
    writer.close()
    if kept.path.exists():
        kept.path.rename(old.path)
    new.path.rename(kept.path)
    shutil.rmtree(old.path, ignore_errors=True)
