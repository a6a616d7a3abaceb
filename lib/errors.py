"""Errors that a user can act on: one line with the field or the file, what is wrong, and what to do."""

import contextlib
import difflib
import errno
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")

_FULL = (errno.ENOSPC, errno.EDQUOT)
_OF_THE_MACHINE = (*_FULL, errno.EIO, errno.ENOMEM)


class ConfigError(ValueError):
    """Bad input from the user. The text is one line that says what to do.

    Attributes:
      message: what is wrong and what to do.
      field: the field of the config or the flag that it is of; "" where it is of none.
    """

    def __init__(self, message: str, field: str = ""):
        super().__init__(f"{field}: {message}" if field else message)
        self.message, self.field = message, field

    def within(self, section: str) -> "ConfigError":
        """Returns the same error, its field named from an outer section."""
        return ConfigError(self.message, ".".join(filter(None, (section, self.field))))


@contextlib.contextmanager
def within(section: str) -> Iterator[None]:
    """Puts a section's name before the field of any ConfigError that the block raises.

    So whoever checks a section need not know where in a config it stands.
    """
    try:
        yield
    except ConfigError as error:
        raise error.within(section) from error


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the program with one line on standard error where the block fails by no fault of the program.

    The exit code is 2 for a `ConfigError` and for a file that cannot be used as asked, 1 where the machine
    gives no more (space on a disk, memory), and 130 after Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from error
    except Exception as error:
        if isinstance(error, BrokenPipeError):  # whoever read our output has enough of it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(1) from error
        if (line := explained(error)) is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        raise SystemExit(1 if is_of_the_machine(error) else 2) from error


def explained(error: BaseException) -> str | None:
    """Returns an error as one line that a user can act on; None for one that is a fault of the program."""
    if isinstance(error, ConfigError):
        return " ".join(str(error).splitlines())
    if isinstance(error, OSError) and error.errno:
        of = f"'{os.fsdecode(error.filename)}': " if isinstance(error.filename, str | bytes) else ""
        return f"{of}{error.strerror}{_space_left(error)}"
    if isinstance(error, MemoryError):
        return f"not enough memory: {one_line(error)}"
    return None


def is_of_the_machine(error: BaseException) -> bool:
    """Tells whether the machine gives no more: space, memory, or a sound disk."""
    return isinstance(error, MemoryError) or getattr(error, "errno", None) in _OF_THE_MACHINE


def _space_left(error: OSError) -> str:
    """Returns how much space was left for the file of an error that is of a full disk, else nothing."""
    left = getattr(error, "space_left", None)  # see lib.runtime.files.naming
    return f" ({left / 1e6:,.1f} MB left)" if error.errno in _FULL and left is not None else ""


def one_line(error: BaseException) -> str:
    """Returns an exception's type and text as one line."""
    return " ".join(f"{type(error).__name__}: {error}".removesuffix(": ").split())


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns `; did you mean 'x'?` for the nearest known name, or else the list of known names."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(known)}"


def lookup(table: Mapping[str, T], name: str, field: str) -> T:
    """Resolves a name of the config through a literal table.

    Raises:
      ConfigError: `name` is not in the table; the text lists the known names.
    """
    if name not in table:
        close = difflib.get_close_matches(name, table, n=1, cutoff=0.6)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ConfigError(f"unknown name '{name}'{hint} (known: {', '.join(table)})", field)
    return table[name]
