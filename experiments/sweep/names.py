"""Names of fields and metrics, which people write short: `disc.learning_rate`, `digits_cnn_frechet`."""

from collections.abc import Sequence

import pandas as pd

from lib.errors import ConfigError, nearest
from lib.sweeps import name_ends, short_names

# Columns of a table of runs beside fields and metrics: no field is shortened to one of these.
ABOUT_RUN = ("name", "status", "step", "program", "error")


def shorten(names: Sequence[str]) -> dict[str, str]:
    """Returns {name: its shortest suffix, at dots and slashes, that means no other of `names`}."""
    return short_names(names, ABOUT_RUN)


def resolve(name: str, known: Sequence[str], flag: str) -> str:
    """Resolves a name to the one of `known` that is called so, or ends in it.

    Raises:
      ConfigError: none is, or several are.
    """
    if name in known:
        return name
    matches = [full for full in known if name in name_ends(full)]
    if len(matches) > 1:
        raise ConfigError(f"'{name}' may be {' or '.join(matches)}; write more of it", flag)
    if not matches:
        raise ConfigError(f"unknown name '{name}'{nearest(name, shorten(known).values())}", flag)
    return matches[0]


def text(value: object) -> str:
    """Returns a value of a field, short where that loses nothing; "" where a run does not set it."""
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return short if float(short := f"{value:.6g}") == value else repr(float(value))
    return str(value)
