"""Names of fields and metrics, which people write short: `disc.learning_rate`, `digits_cnn_frechet`."""

import re
from collections.abc import Sequence

import pandas as pd

from lib.config import ConfigError, nearest

# Columns of a table of runs beside fields and metrics: no field is shortened to one of these.
ABOUT_RUN = ("name", "status", "step", "error")


def shorten(names: Sequence[str]) -> dict[str, str]:
    """{name: its shortest suffix, at dots and slashes, that means no other of `names`}."""
    suffixes = {name: _suffixes(name) for name in names}
    meant = [*ABOUT_RUN, *(suffix for name in suffixes for suffix in suffixes[name])]
    return {
        name: next((suffix for suffix in found if meant.count(suffix) == 1), name)
        for name, found in suffixes.items()
    }


def resolve(name: str, known: Sequence[str], flag: str) -> str:
    """The one of `known` that is called `name`, or ends in it.

    Raises:
      ConfigError: none is, or several are.
    """
    if name in known:
        return name
    found = [full for full in known if name in _suffixes(full)]
    if len(found) > 1:
        raise ConfigError(f"{flag}: '{name}' may be {' or '.join(found)}; write more of it")
    if not found:
        raise ConfigError(f"{flag}: unknown name '{name}'{nearest(name, shorten(known).values())}")
    return found[0]


def text(value: object) -> str:
    """A value of a field, short where that loses nothing; "" where a run does not set it."""
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return short if float(short := f"{value:.6g}") == value else repr(float(value))
    return str(value)


def _suffixes(name: str) -> list[str]:
    """The name's ends, shortest first: of a.b/c they are c, b/c and a.b/c."""
    begins = [0, *(match.end() for match in re.finditer(r"[./]", name))]
    return [name[begin:] for begin in reversed(begins)]
