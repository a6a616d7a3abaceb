"""What training writes: metrics, checkpoints and the progress bar; nothing where the folder is not ours."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from lib.config import flatten
from lib.experiment import State
from lib.runtime import checkpoints, processes, trackers
from lib.runtime.progress import Progress
from lib.runtime.records import EPOCHS, HELD_OUT, TRAINING, MetricWriter, read_epochs
from lib.runtime.run_folder import RunFolder
from lib.schema import Run


class Writers:
    """The writers of one call of training."""

    def __init__(self, folder: RunFolder, config: Run, first: int):
        """Opens the writers.

        Args:
          first: the step that training begins with; what was written after it is dropped.
        """
        self.progress = Progress(config.num_steps, first, quiet=not folder.ours)
        self.saved = first  # the newest step that can be resumed from; 0: none
        self._logs: dict[str, MetricWriter] = {}
        self._checkpoints = None
        if folder.ours:
            self._checkpoints = checkpoints.Writer(folder.checkpoints, config.keep_checkpoints)
            names = [TRAINING, HELD_OUT]
            if config.epoch_means or read_epochs(folder.metrics):  # older lines may be of steps to come
                names.append(EPOCHS)
            for name in names:
                self._logs[name] = MetricWriter(folder.metrics, name, folder.tensorboard, first)
        fields = flatten(config.model_dump())
        self._trackers = trackers.begin(config.trackers, folder.path, fields) if folder.ours else []
        self.is_new = bool(self._logs) and self._logs[TRAINING].is_empty  # no line is written yet

    def log(self, name: str, step: int, metrics: Mapping[str, float]) -> None:
        """Writes metrics under a name of `records`: TRAINING, EPOCHS or HELD_OUT."""
        if name in self._logs:
            self._logs[name].write(step, metrics)
        for tracker in self._trackers:
            tracker.log(step, {f"{name}/{metric}": value for metric, value in metrics.items()})

    def picture(self, step: int, path: Path) -> None:
        """Shows a picture to the trackers; TensorBoard has it already."""
        for tracker in self._trackers:
            tracker.picture(step, f"pictures/{path.stem.rpartition('_')[0] or path.stem}", path)

    def save(self, step: int, state: State) -> None:
        """Begins to write a checkpoint; the metrics before it are on disk first.

        Raises:
          lib.runtime.checkpoints.WriteError: on all processes; see `lib.runtime.checkpoints.Writer.save`.
        """
        with processes.together(checkpoints.WriteError):
            for log in self._logs.values():
                log.flush()
            if self._checkpoints:
                self._checkpoints.save(step, state)
        self.saved = step

    def finish(self) -> None:
        """Waits until the last checkpoint is written.

        Raises:
          lib.runtime.checkpoints.WriteError: on all processes.
        """
        with processes.together(checkpoints.WriteError):
            if self._checkpoints:
                self._checkpoints.close()

    def close(self) -> None:
        """Closes what is open, also after an error; waits for no other process."""
        with contextlib.ExitStack() as closing:
            for each in (self._checkpoints, *self._logs.values(), self.progress):
                if each:
                    closing.callback(each.close)
            for tracker in self._trackers:
                closing.callback(tracker.finish)
