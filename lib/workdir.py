"""The work directory of a run: where things are in it, and that one process at a time writes it.

config.json  checkpoints/<step>/  metrics/{train,eval}.jsonl  tensorboard/  figures/*.png
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from lib.config import ConfigError

CHECKPOINTS = "checkpoints"


class Workdir:
    """Paths of one run."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path).absolute()
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
    def lock(self) -> Iterator[None]:
        """Holds the right to write here; the system lets go of it however the process ends.

        Raises:
          ConfigError: another process holds it.
        """
        with (self.path / ".lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.seek(0)
                raise ConfigError(
                    f"--workdir: process {file.read().strip() or '(unknown)'} is training in "
                    f"'{self.path}'; wait for it, or name another folder"
                ) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield


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
