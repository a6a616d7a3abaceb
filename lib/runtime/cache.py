"""The cache: prepared data, compiled programs and scoring networks, kept between runs."""

import contextlib
import fcntl
import functools
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import jax

from lib.errors import ConfigError, one_line
from lib.runtime.files import remove_temporaries, replacing

T = TypeVar("T")

_CACHE_WARNING = re.compile(
    r"Error (?:reading|writing) persistent compilation cache entry for '(?P<program>[^']*)': (?P<reason>.*)"
)
_OTHERS_CAN_WRITE = stat.S_IWGRP | stat.S_IWOTH


def cache_dir() -> Path:
    """Returns the folder where prepared data, compiled programs and scoring networks are kept between runs.

    `GRADIENT_DYNAMICS_CACHE` names another folder than `~/.cache/gradient_dynamics`.

    What is in it runs, the compiled programs at least: it is made for its owner alone.

    Raises:
      ConfigError: the folder cannot be written, is another user's, or others can write there.
    """
    default = Path.home() / ".cache" / "gradient_dynamics"
    folder = Path(os.environ.get("GRADIENT_DYNAMICS_CACHE") or default)
    name_another = "name another: GRADIENT_DYNAMICS_CACHE=DIR"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status, writable = folder.stat(), os.access(folder, os.W_OK)
    except OSError as error:
        raise ConfigError(
            f"cannot write in the cache '{folder}' ({error.strerror}); {name_another}"
        ) from error
    if not writable:
        raise ConfigError(f"cannot write in the cache '{folder}'; {name_another}")
    if status.st_uid != os.getuid():
        raise ConfigError(
            f"the cache '{folder}' is of another user, whose compiled programs would run; {name_another}"
        )
    if status.st_mode & _OTHERS_CAN_WRITE:
        raise ConfigError(
            f"others can write in the cache '{folder}', and their programs would run; {name_another}, or "
            f"empty this one and `chmod go-w` it"
        )
    return folder


def kept(path: Path, read: Callable[[Path], T | None], make: Callable[[Path], None]) -> T:
    """Returns what a file of the cache holds: made where it is missing, and again where it is damaged.

    Of several processes that need it one makes it, and the others wait.

    Args:
      path: of the file.
      read: reads and checks it; None says that it is sound and not enough, an exception that it is damaged.
      make: writes it, to another path; it may need no other file of the same folder.
    """
    if (value := _sound(path, read)) is not None:
        return value
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.parent):
        if (value := _sound(path, read, quiet=True)) is not None:  # made meanwhile
            return value
        remove_temporaries(path.parent)
        with replacing(path) as temporary:
            make(temporary)
    return read(path)


def _sound(path: Path, read: Callable[[Path], T | None], quiet: bool = False) -> T | None:
    """Returns what a file holds; None where it is missing, not enough, or damaged, which is said."""
    if path.exists():
        try:
            return read(path)
        except Exception as error:  # NumPy, zip files and JSON each have their own
            if not quiet:
                print(f"'{path}' is damaged ({one_line(error)[:120]}): it is made again")
    return None


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds the right to make files in a folder; waits for it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def use_compilation_cache() -> None:
    """Keeps compiled programs on disk, so that a second start of the same run compiles nothing."""
    folder = cache_dir() / "xla"
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    _drop_what_fails(folder)


@functools.cache
def _drop_what_fails(folder: Path) -> None:
    """Removes compiled programs that JAX warns of, cut off on a full disk for instance; says so once."""
    show, said = warnings.showwarning, []

    def drop(message, category, *args, **kwargs):
        if not (failed := _CACHE_WARNING.match(" ".join(str(message).split()))):
            show(message, category, *args, **kwargs)
            return
        for path in folder.glob(f"{failed['program']}-*-cache"):
            path.unlink(missing_ok=True)
        if not said:
            said.append(failed)
            reason = failed["reason"][:120]
            print(f"note: a compiled program cannot be kept in '{folder}' or read from there ({reason})")

    warnings.showwarning = drop
