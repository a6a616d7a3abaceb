"""The work directory of a run: where things are in it, who writes it, and how its training ended.

config.json  status.json  checkpoints/<step>/  metrics/{train,eval}.jsonl  tensorboard/  figures/*.png  *.npy (results)
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from lib import files
from lib.config import ConfigError

CHECKPOINTS = "checkpoints"


class Workdir:
    """Paths of one run.

    Attributes:
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
                f"--workdir: cannot write in '{self.path}' ({error.strerror}); name another folder"
            ) from error

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
                    f"--workdir: process {path.read_text().strip() or '(unknown)'} is {doing} in "
                    f"'{self.path}'; wait for it, or name another folder"
                )
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def is_training(self) -> bool:
        """Whether a process holds the lock."""
        return files.is_locked(self.path / ".lock")

    def set_status(self, status: str, step: int, error: str = "") -> None:
        """Writes down how far training is: "training", "stopped" (by a signal), "failed" or "finished"."""
        if not self.ours:
            return
        with files.replacing(self.path / "status.json") as temporary:
            temporary.write_text(json.dumps({"status": status, "step": step, "error": error}) + "\n")

    def status(self) -> dict:
        """What `set_status` wrote, and "killed" for training that no process does; {} before the first."""
        try:
            found = json.loads((self.path / "status.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        killed = found["status"] == "training" and not self.is_training()
        return found | ({"status": "killed"} if killed else {})


def find_run(path: str | os.PathLike) -> Path:
    """The work directory that a path means: itself, its checkpoints folder, or one step's folder."""
    path = Path(path).absolute()
    if path.name.isdigit() and path.parent.name == CHECKPOINTS:
        return path.parent.parent
    return path.parent if path.name == CHECKPOINTS else path


def find(restore_path: str) -> tuple[Workdir, int | None]:
    """The run that a restore_path means, and the step if it names one.

    Args:
      restore_path: a work directory, its checkpoints folder, or one step's folder in that.

    Raises:
      ConfigError: there is no such folder, or it is none of these.
    """
    path = Path(restore_path).absolute()
    if not path.is_dir():
        raise ConfigError(f"config.restore_path: no folder '{restore_path}'")
    workdir = Workdir(find_run(path))
    if not (workdir.checkpoints.is_dir() and workdir.config.is_file()):
        raise ConfigError(
            f"config.restore_path: '{restore_path}' is not of a run: no config.json and checkpoints in "
            f"'{workdir.path}'"
        )
    return workdir, int(path.name) if path.parent == workdir.checkpoints else None
