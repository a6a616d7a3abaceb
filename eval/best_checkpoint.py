"""The best checkpoint of a run: which one it is, and its copy in best/, a work directory of its own."""

import contextlib
import shutil
from collections.abc import Sequence

from eval.evaluation import Evaluator
from eval.report import recorded_metrics
from lib.experiment import State
from lib.runtime import checkpoints, records
from lib.runtime.files import remove_tree
from lib.runtime.interval_means import NotFiniteError
from lib.runtime.run_folder import RunFolder


class BestCheckpoint:
    """The best checkpoint among those that an evaluator has scored, by `config.eval.best_metric`.

    Training keeps only its newest checkpoints, and knows nothing of the copy: neither deletes the other's.
    """

    def __init__(self, evaluator: Evaluator):
        self._evaluator, self._folder = evaluator, evaluator.folder

    def record(self) -> dict | None:
        """Returns the best record so far, or None where nothing is scored."""
        return self.of(list(self._evaluator.records().values()))

    def of(self, scored: Sequence[dict]) -> dict | None:
        """Returns the best of some records, the first of equal ones, or None where there are no records."""
        if not scored:
            return None
        sign = "-" if self._evaluator.config.eval.best_metric.startswith("-") else ""
        return records.best(scored, sign + self.metric(scored[0]))

    def metric(self, record: dict) -> str:
        """Returns the name of the metric that the best checkpoint is chosen by."""
        if wanted := self._evaluator.config.eval.best_metric.removeprefix("-"):
            return wanted
        known = recorded_metrics(record)
        network = self._evaluator.network
        if network:
            return next(iter(network.names.values()))
        return "accuracy" if "accuracy" in known else known[0]

    def kept_step(self) -> int | None:
        """Returns the step in best/, or None where there is none, or a damaged one."""
        kept = RunFolder(self._folder.path / "best")
        step = kept.newest_step()
        return step if step and checkpoints.is_sound(kept.checkpoints, step) else None

    def keep(self, record: dict, state: State) -> None:
        """Copies the state of a record to best/, in place of the one before, and says so.

        Raises:
          WriteError: it cannot be written.
        """
        step, kept = record["step"], self._folder.path / "best"
        write_best(self._folder, step, state)
        print(f"step {step:,} is the best so far by {self.metric(record)}: kept in {kept}")

    def recover(self) -> None:
        """Brings best/ up to date where an earlier follower was killed, or something else is asked for."""
        recover_best(self._folder)
        self._score_kept()
        best = self.record()
        if best and best["step"] != self.kept_step():
            with contextlib.suppress(checkpoints.DamagedError):  # training has dropped it meanwhile
                target = self._evaluator.programs.abstract_state()
                self.keep(best, checkpoints.restore(self._folder.checkpoints, best["step"], target))

    def _score_kept(self) -> None:
        """Scores what is in best/ if that was done under other conditions: it may be the only copy."""
        kept, step = RunFolder(self._folder.path / "best"), self.kept_step()
        if step is not None and step not in self._evaluator.records():
            with contextlib.suppress(NotFiniteError):
                _, state = kept.restore(self._evaluator.programs.abstract_state(), step)
                self._evaluator.evaluate(state, step)


def write_best(folder: RunFolder, step: int, state: State) -> None:
    """Writes a checkpoint, with its run's config, to best/ in place of the one before."""
    new, kept, old = (RunFolder(folder.path / name) for name in ("best.tmp", "best", "best.old"))
    for left in (new, old):
        shutil.rmtree(left.path, ignore_errors=True)
    try:
        new.create()
        shutil.copy2(folder.config, new.config)
        writer = checkpoints.Writer(new.checkpoints, keep=1)
        writer.save(step, state)
        writer.close()
        if kept.path.exists():
            kept.path.rename(old.path)
        new.path.rename(kept.path)
    except BaseException:
        recover_best(folder)
        remove_tree(new.path)
        raise
    shutil.rmtree(old.path, ignore_errors=True)


def recover_best(folder: RunFolder) -> None:
    """Puts the best checkpoint back that a kill in the middle of `write_best` has left beside its place."""
    kept, old = folder.path / "best", folder.path / "best.old"
    if old.exists() and not kept.exists():
        old.rename(kept)
