"""Scores every checkpoint of a run while it is written, each once, and keeps the best."""

import contextlib
import fcntl
import shutil
import time
from collections.abc import Callable

from eval.evaluation import Evaluator
from lib import checkpoints
from lib.config import ConfigError
from lib.experiment import State
from lib.workdir import Workdir

_SECONDS_BETWEEN_LOOKS = 2.0
_LOWER_IS_BETTER = ("frechet", "FID", "kernel", "KID", "loss")


class Follower:
    """Evaluates checkpoints as they appear, oldest first.

    What metrics/eval.jsonl has from the same network is not scored again, so a restart goes on.
    """

    def __init__(self, evaluator: Evaluator, training_runs: Callable[[], bool] | None = None):
        """Takes an evaluator of the run, and what tells whether its training will still write.

        By default that is so while a process holds the run's lock, or the last step is not reached: the run
        may be started again.
        """
        self._evaluator, self._workdir = evaluator, evaluator.runner.workdir
        self._training_runs = training_runs or self._unfinished
        self._damaged: set[int] = set()

    def follow(self) -> dict | None:
        """Scores until training has ended; returns the best record, whose checkpoint is kept in best/."""
        said = None
        self._keep_what_a_kill_left()
        while True:
            running = self._training_runs()  # asked before the look: so the last checkpoint is not missed
            known = checkpoints.steps(self._workdir.checkpoints)
            done = self._evaluator.records().keys() | self._damaged
            new = [step for step in known if step not in done]
            if new:
                self._score(new[0])
            elif not running:
                return self.best()
            else:
                after = max(known, default=0)
                if said != after:
                    idle = "" if is_training(self._workdir) else "; no process is training there now"
                    print(f"waiting for a checkpoint after step {after:,}{idle}", flush=True)
                    said = after
                time.sleep(_SECONDS_BETWEEN_LOOKS)

    def best(self) -> dict | None:
        """The best record so far by `config.eval.best_metric`, or None."""
        records = list(self._evaluator.records().values())
        if not records:
            return None
        name = self.metric(records[0])
        return (min if name.endswith(_LOWER_IS_BETTER) else max)(records, key=lambda r: r[name])

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

    def _score(self, step: int) -> None:
        """Evaluates a step and keeps it if it is the best; one that is gone meanwhile is passed over."""
        folder = self._workdir.checkpoints
        try:
            state = checkpoints.restore(folder, step, self._evaluator.runner.abstract_state())
        except checkpoints.DamagedError as error:
            if (folder / str(step)).exists():
                print(f"checkpoint of step {step} is damaged: {error}; it is not scored")
                self._damaged.add(step)
            return
        self._evaluator.evaluate(state, step)
        self._keep_if_best(step, state)

    def _keep_if_best(self, step: int, state: State) -> None:
        best = self.best()
        if best["step"] == step:
            keep_best(self._workdir, step, state)
            kept = self._workdir.path / "best"
            print(f"step {step:,} is the best so far by {self.metric(best)}: kept in {kept}")

    def _keep_what_a_kill_left(self) -> None:
        """Keeps the best of what is scored, where an earlier follower was ended before it could."""
        best, kept = self.best(), Workdir(self._workdir.path / "best")
        if best and best["step"] not in checkpoints.steps(kept.checkpoints):
            with contextlib.suppress(checkpoints.DamagedError):  # training has dropped it meanwhile
                target = self._evaluator.runner.abstract_state()
                state = checkpoints.restore(self._workdir.checkpoints, best["step"], target)
                self._keep_if_best(best["step"], state)

    def _unfinished(self) -> bool:
        last = self._evaluator.config.num_steps
        return is_training(self._workdir) or last not in checkpoints.steps(self._workdir.checkpoints)


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


def is_training(workdir: Workdir) -> bool:
    """Whether a process holds the lock of a work directory."""
    try:
        with (workdir.path / ".lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
