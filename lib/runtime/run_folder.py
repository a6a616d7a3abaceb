"""A run's folder, its work directory: where things are, who writes them, its config, status and states.

config.json  status.json  checkpoints/<step>/  metrics/{train,epochs,eval}.jsonl  tensorboard/
figures/*.png  *.npy (results)  words.json (of runs on sentences)
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from ml_collections import ConfigDict
from pydantic import NonNegativeInt

from lib.config import Section, differences, to_plain
from lib.errors import ConfigError, is_of_the_machine
from lib.runtime import files
from lib.runtime.json_files import DamagedFile, read_json, write_json
from lib.schema import MAY_DIFFER

CHECKPOINTS = "checkpoints"
_RESTORE = "config.restore_path"
_LONGEST_ERROR = 2000
_PROGRAM = "program"  # in machine.json: another for each process, but for the runs that share it


class _Status(Section):
    """Describes what status.json holds."""

    status: Literal["training", "stopped", "failed", "finished"]
    step: NonNegativeInt
    error: str
    reached: str = ""


class RunFolder:
    """One run's work directory.

    Attributes:
      path: of it.
      ours: whether this process writes here; of the processes of one run only the first does, and in the
        others `create`, `lock` and `set_status` do nothing.
    """

    def __init__(self, path: str | os.PathLike, ours: bool = True):
        self.path = Path(path).absolute()
        self.ours = ours
        self.config = self.path / "config.json"
        self.checkpoints = self.path / CHECKPOINTS
        self.metrics = self.path / "metrics"
        self.tensorboard = self.path / "tensorboard"
        self.figures = self.path / "figures"

    def create(self) -> None:
        """Makes the folders.

        Raises:
          ConfigError: the place cannot be written.
        """
        if not self.ours:
            return
        try:
            for folder in (self.checkpoints, self.metrics, self.tensorboard, self.figures):
                folder.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".{os.getpid()}.tmp"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ConfigError(
                f"cannot write in '{self.path}' ({error.strerror}); name another folder", "--workdir"
            ) from error

    def newest_step(self) -> int:
        """Returns the step of the newest checkpoint, 0 if there is none."""
        return max(files.steps(self.checkpoints), default=0)

    def clean_up(self, keep_checkpoints: int | None = None) -> None:
        """Removes what a kill has left: half-written files, and checkpoints that were to be deleted.

        Args:
          keep_checkpoints: how many there may be; None, for who does not train: all stay.
        """
        if not self.ours:
            return
        files.remove_temporaries(self.path, self.metrics, self.figures)
        for step in files.steps(self.checkpoints)[: -keep_checkpoints if keep_checkpoints else 0]:
            shutil.rmtree(self.checkpoints / str(step), ignore_errors=True)

    # Who writes, and how far training is.

    @contextlib.contextmanager
    def lock(self, name: str = ".lock", doing: str = "training") -> Iterator[None]:
        """Holds the right to write here; the system lets go of it however the process ends.

        Args:
          name: of the lock's file: training's by default.
          doing: what its holder does, for the error.

        Raises:
          ConfigError: another process holds it.
        """
        if not self.ours:
            yield
            return
        path = self.path / name
        with files.lock(path) as file:
            if file is None:
                raise ConfigError(
                    f"process {path.read_text().strip() or '(unknown)'} is {doing} in "
                    f"'{self.path}'; wait for it, or name another folder",
                    "--workdir",
                )
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def is_training(self) -> bool:
        """Tells whether a process holds the lock."""
        return files.is_locked(self.path / ".lock")

    def set_status(self, status: str, step: int, error: str = "", reached: str = "") -> None:
        """Writes how far training is: "training", "stopped" (by a signal), "failed" or "finished".

        Args:
          reached: `config.stop_at` of a run that is finished because it was reached.
        """
        if not self.ours:
            return
        path = self.path / "status.json"
        written = {"status": status, "step": step, "error": error[:_LONGEST_ERROR]}
        written |= {"reached": reached} if reached else {}
        try:
            write_json(path, written)
        except OSError as error:
            if not is_of_the_machine(error) or not path.exists():
                raise
            files.overwrite(path, json.dumps(written))  # on a full disk: it takes no more space

    def status(self) -> dict:
        """Returns what `set_status` wrote, "killed" for training that no process does, {} before it.

        What cannot be read is derived from the checkpoints, and so is the step of a killed training.
        """
        path = self.path / "status.json"
        if not path.exists():
            return {}
        newest = self.newest_step()
        try:
            written = read_json(path, _Status)
        except DamagedFile:
            written = self._derived_status(newest)
        status = written.model_dump(exclude_defaults=True)  # without what is of few runs
        if written.status == "training" and not self.is_training():
            return status | {"status": "killed", "step": max(newest, written.step)}
        return status

    def _derived_status(self, step: int) -> "_Status":
        """Returns the status that the newest checkpoint and the config speak for."""
        try:
            finished = step >= self.read_config().num_steps
        except (ConfigError, AttributeError, TypeError):
            finished = False
        return _Status(status="finished" if finished else "training", step=step, error="")

    def check_machine(self, machine: dict[str, str], resumes: bool) -> None:
        """Prints a line where a run goes on with another machine than it last had, and records this one.

        Args:
          machine: `lib.runtime.devices.machine`.
          resumes: whether the run goes on.
        """
        if not self.ours:
            return
        before = (self.machine() if resumes else {}) or machine
        before = {"lanes": "1"} | before  # runs may be older than lanes
        changed = [name for name in machine if name != _PROGRAM and before.get(name) != machine[name]]
        if changed:
            texts = (
                f"{name} {before.get(name, 'unknown')} before, {machine[name]} here" for name in changed
            )
            print(f"note: {'; '.join(texts)}: the run goes on, but its numbers may differ by rounding")
        write_json(self.path / "machine.json", machine)

    def machine(self) -> dict[str, str]:
        """Returns what `check_machine` recorded last; {} where it has not, or it cannot be read."""
        with contextlib.suppress(FileNotFoundError, DamagedFile):
            return read_json(self.path / "machine.json", dict[str, str])
        return {}

    # Its config.

    def write_config(self, config: Any) -> None:
        """Writes the resolved config, replacing the file in one move so that it is never half there."""
        write_json(self.config, to_plain(config))

    def read_config(self) -> ConfigDict:
        """Reads what `write_config` wrote. Of an experiment's run use `experiments.registry.own_config`.

        Raises:
          ConfigError: the file is missing or is not a JSON object.
        """
        if not self.config.exists():
            raise ConfigError(f"no {self.config.name} in '{self.path}': not a work directory of a run")
        try:
            return ConfigDict(to_plain(read_json(self.config, dict[str, Any])))
        except ValueError as error:  # damaged, or with names that no field has
            text = str(error) if isinstance(error, DamagedFile) else f"'{self.config}' is damaged ({error})"
            raise ConfigError(f"{text}; restore it from a copy") from error

    # Its states.

    def restore(self, target: Any, step: int | None = None) -> tuple[int, Any]:
        """Reads (step, state) of one step, or of the newest sound checkpoint.

        Args:
          target: a state, or its jax.eval_shape.

        Raises:
          ConfigError: there is none, or the one named is missing, damaged or of another experiment.
        """
        from lib.runtime import checkpoints  # not above: a sweep's jobs read folders and never start JAX

        known = checkpoints.steps(self.checkpoints)
        if not known or step not in (None, *known):
            which = "checkpoint" if step is None else f"checkpoint of step {step}"
            has = f"; it has {', '.join(map(str, known))}" if known else ""
            raise ConfigError(f"no {which} in '{self.checkpoints}'{has}", _RESTORE)
        if step is None:
            newest = checkpoints.restore_newest(self.checkpoints, target)
            if newest is None:
                raise ConfigError(f"the checkpoints in '{self.checkpoints}' are gone", _RESTORE)
            return newest
        try:
            return step, checkpoints.restore(self.checkpoints, step, target)
        except checkpoints.DamagedError as error:
            raise ConfigError(f"step {step} is damaged: {error}", _RESTORE) from error


def check_same_run(
    ours: Any, theirs: Any, folder: RunFolder, flag: str, may_differ: Sequence[str] = ()
) -> None:
    """Checks that a config is that of the run in a folder, but for fields that may differ.

    Args:
      ours: the config of now.
      theirs: the run's own.
      folder: the run's.
      flag: what named the folder.
      may_differ: further fields that may differ.

    Raises:
      ConfigError: it names the fields in which they differ.
    """
    if different := differences(ours, theirs, (*MAY_DIFFER, *may_differ)):
        raise ConfigError(f"the run in '{folder.path}' has another config: {'; '.join(different)}", flag)


def find_run(path: str | os.PathLike) -> Path:
    """Returns the work directory that a path means: itself, its checkpoints folder's, or one step's."""
    path = Path(path).absolute()
    if files.step_of(path) is not None and path.parent.name == CHECKPOINTS:
        return path.parent.parent
    return path.parent if path.name == CHECKPOINTS else path


def find(restore_path: str) -> tuple[RunFolder, int | None]:
    """Finds the run that a restore_path means, and the step if it names one.

    Args:
      restore_path: a work directory, its checkpoints folder, or one step's folder in that.

    Raises:
      ConfigError: there is no such folder, or it is none of these.
    """
    path = Path(restore_path).absolute()
    if not path.is_dir():
        raise ConfigError(f"no folder '{restore_path}'", _RESTORE)
    folder = RunFolder(find_run(path))
    if not (folder.checkpoints.is_dir() and folder.config.is_file()):
        raise ConfigError(
            f"'{restore_path}' is not of a run: no config.json and checkpoints in '{folder.path}'", _RESTORE
        )
    return folder, files.step_of(path) if path.parent == folder.checkpoints else None
