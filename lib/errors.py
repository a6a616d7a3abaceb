"""Errors that a user can mend: one line with the field, what is wrong with it, and what to do."""

import contextlib
import difflib
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")


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
    """Ends the program with exit code 2 and one line on standard error for a `ConfigError`."""
    try:
        yield
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def one_line(error: Exception) -> str:
    """Returns an exception's type and text as one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


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
