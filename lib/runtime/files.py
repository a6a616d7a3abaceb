"""Files that are whole or absent, whatever happens while they are written; locks; names of steps."""

import contextlib
import errno
import fcntl
import os
import re
import resource
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from lib.errors import ConfigError

_HOST = re.sub(r"[^\w-]", "_", socket.gethostname())[:60]
_TRIES, _PAUSE = 10, 0.1  # is_locked holds the lock for an instant
_MOST_TRIES = 50


def step_of(path: Path) -> int | None:
    """Returns the step that a checkpoint's folder is named after; None for any other name."""
    return int(path.name) if re.fullmatch(r"0|[1-9][0-9]{0,17}", path.name) else None


def steps(folder: Path) -> list[int]:
    """Lists the steps that have a checkpoint, oldest first; one still being written has another name."""
    if not folder.is_dir():
        return []
    named = (step_of(path) for path in folder.iterdir() if path.exists())  # a link may lead nowhere
    return sorted(step for step in named if step is not None)


@contextlib.contextmanager
def asked_for(path: Path, field: str) -> Iterator[None]:
    """Makes the folder of a file that a flag names; the block writes it.

    Raises:
      ConfigError: of the flag: the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ConfigError(f"cannot write '{path}' ({error.strerror}); name another file", field) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a path to write to, moved to `path` in one step when the block ends without an error.

    An OSError of the block is one of `path`. What a kill leaves, `remove_temporaries` removes.
    """
    temporary = path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.tmp")
    try:
        with naming(path):
            temporary.unlink(missing_ok=True)  # or a link that somebody put there would be followed
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def overwrite(path: Path, text: str) -> None:
    """Writes a short text over a file's own, in place, which needs no space on a disk that is full."""
    with naming(path), open_file(path, "r+b") as file:
        file.write(text.encode().ljust(os.fstat(file.fileno()).st_size))


def remove_tree(folder: Path) -> None:
    """Removes a folder for good, which threads that are about to fail may make anew a moment later.

    TensorStore's do: of the files of a checkpoint one fails, and the others are still being written, with
    their folders. So the folder is looked at until it has been away for a second.
    """
    quiet = 0
    for _ in range(_MOST_TRIES):
        quiet = 0 if folder.exists() else quiet + 1
        if quiet > _TRIES:
            return
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(_PAUSE)


def remove_temporaries(*folders: Path) -> None:
    """Removes what processes of this machine that are gone have left of `replacing` in some folders."""
    for folder in folders:
        for path in folder.glob(f".*.{_HOST}.*.tmp"):
            number = re.search(r"\.([0-9]+)\.tmp$", path.name)
            if number and not _is_running(number[1]):
                path.unlink(missing_ok=True)


def _is_running(process: str) -> bool:
    """Tells whether a process of a number runs; a zombie does not."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Adds the file and the space that is left to any OSError of the block: a failed write says neither."""
    try:
        yield
    except OSError as error:
        if not hasattr(error, "space_left"):  # else another file has been named
            error.filename, error.filename2 = str(path), None
            error.space_left = shutil.disk_usage(path.parent).free if path.parent.exists() else 0
        raise


def open_file(path: Path, mode: str) -> IO:
    """Opens a file which may be in a folder that others can write: no symbolic link, and no pipe.

    Raises:
      ConfigError: it is one.
    """

    def opener(name: str, flags: int) -> int:
        try:
            descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise ConfigError(f"'{path}' is a symbolic link, which is not followed; remove it") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ConfigError(f"'{path}' is no ordinary file; remove it")
        return descriptor

    return open(path, mode, opener=opener)


@contextlib.contextmanager
def lock(path: Path) -> Iterator[IO | None]:
    """Holds a file's lock, as the open file, until the block ends; None if another process holds it.

    The system lets go of it however the process ends, once no child has the file either.

    Raises:
      ConfigError: the file is a symbolic link.
    """
    with open_file(path, "a") as file:
        yield file if _acquire(file) else None


def allow_many_open() -> None:
    """Lets this process, and those that it starts, have as many files open as the system allows."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):  # a container may refuse it
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _acquire(file: IO) -> bool:
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(_PAUSE)
    return False


def is_locked(path: Path) -> bool:
    """Tells whether a process holds a file's lock; False if there is no file."""
    try:
        with open_file(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, ConfigError):
        return False
    except BlockingIOError:
        return True
    return False


def size_of(folder: Path) -> int:
    """Returns the bytes of a folder's files; those that go away meanwhile are left out."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.lstat().st_size if path.is_file() else 0
    return total
