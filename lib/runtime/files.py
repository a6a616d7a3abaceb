"""Files that are whole or absent, whatever happens while they are written; locks; names of steps."""

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_TRIES, _PAUSE = 10, 0.1  # is_locked holds the lock for an instant


def step_of(path: Path) -> int | None:
    """Returns the step that a checkpoint's folder is named after; None for any other name."""
    return int(path.name) if re.fullmatch(r"[0-9]{1,18}", path.name) else None


def steps(folder: Path) -> list[int]:
    """Lists the steps that have a checkpoint, oldest first; one still being written has another name."""
    if not folder.is_dir():
        return []
    named = (step_of(path) for path in folder.iterdir())
    return sorted(step for step in named if step is not None)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a path to write to, moved to `path` in one step when the block ends without an error."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def lock(path: Path) -> Iterator[IO | None]:
    """Holds a file's lock, as the open file, until the block ends; None if another process holds it.

    The system lets go of it however the process ends, once no child has the file either.
    """
    with path.open("a") as file:
        yield file if _acquire(file) else None


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
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
