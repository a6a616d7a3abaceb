"""What a sweep varies: lists of overrides, and the helpers with which sweep files write them.

A sweep is a list of runs, and a run a dict {field of the config: value}. A sweep file defines

    def get_sweep(h):
        return h.product(h.log_spaced("gan.optimizers.disc.learning_rate", 1e-3, 1e-1, 5), h.seeds(3))

where h is this module.
"""

import collections
import dataclasses
import hashlib
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lib.config import call_file
from lib.errors import ConfigError

Overrides = dict[str, Any]
Sweep = list[Overrides]


@dataclasses.dataclass(frozen=True)
class Dimension:
    """A field that a search varies: between two numbers, or among choices.

    Attributes:
      low, high: bounds, both included; whole numbers if both are.
      log: whether it is searched in the logarithm.
      choices: texts or numbers; empty: there are bounds.
    """

    field: str
    low: float = 0
    high: float = 0
    log: bool = False
    choices: tuple = ()


_VALUES = bool | int | float | str | tuple | list | dict | None
_LONGEST_NAME = 120  # of a run's folder


def values(field: str, values: Iterable[Any]) -> Sweep:
    """Returns one run for every value of a field."""
    return [{field: value} for value in values]


def search(field: str, low: float, high: float, log: bool = False) -> Dimension:
    """Returns a field that a search varies between two numbers; whole ones if both are.

    Raises:
      ValueError: there is nothing between them, or nothing to take the logarithm of.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high) or (log and low <= 0):
        raise ValueError(f"'{field}' cannot be searched from {low} to {high}{' in its logarithm' * log}")
    return Dimension(field, low, high, log)


def choice(field: str, options: Iterable[Any]) -> Dimension:
    """Returns a field that a search takes from some options.

    Raises:
      ValueError: there are none, or one is neither a number nor text.
    """
    options = tuple(options)
    if not options or not all(isinstance(option, bool | int | float | str) for option in options):
        raise ValueError(f"'{field}' needs options that are numbers or texts, not {options}")
    return Dimension(field, choices=options)


def fixed(field: str, value: Any) -> Sweep:
    """Returns one run; in a product, the same value of a field in all runs."""
    return [{field: value}]


def log_spaced(field: str, low: float, high: float, n: int) -> Sweep:
    """Returns n values from low to high with equal ratios, to three significant digits."""
    return values(field, [float(f"{value:.3g}") for value in np.geomspace(low, high, n)])


def seeds(n: int, first: int = 0) -> Sweep:
    """Returns n seeds, first, first + 1, ..; results are averaged over them."""
    return values("seed", range(first, first + n))


def product(*sweeps: Sweep) -> Sweep:
    """Returns every combination of one run of each; the last one varies fastest.

    Raises:
      ValueError: two of them set the same field.
    """
    runs: Sweep = [{}]
    for sweep in sweeps:
        runs = [_joined(a, b) for a in runs for b in sweep]
    return runs


def zipped(*sweeps: Sweep) -> Sweep:
    """Joins the first runs of each, the second ones, and so on.

    Raises:
      ValueError: they are not equally long, or set the same field.
    """
    return [product(*([run] for run in runs))[0] for runs in zip(*sweeps, strict=True)]


def chain(*sweeps: Sweep) -> Sweep:
    """Returns the runs of one after those of the other."""
    return [run for sweep in sweeps for run in sweep]


def _joined(a: Overrides, b: Overrides) -> Overrides:
    if twice := a.keys() & b.keys():
        raise ValueError(f"'{min(twice)}' is set twice in one run")
    return a | b


def load(path: str | os.PathLike) -> Sweep:
    """Reads the runs of a sweep file.

    Raises:
      ConfigError: the file is missing or fails, has no get_sweep, gives no list of overrides, or gives the
        same run twice.
    """
    path, runs = Path(path), _called(path)
    if _is_space(runs):
        raise ConfigError(f"'{path}' is a search; say how many --trials and which --metric", "--sweep")
    if not (isinstance(runs, list) and runs and all(isinstance(run, Mapping) for run in runs)):
        raise ConfigError(
            f"get_sweep of '{path}' must return a list of dicts, one for every run", "--sweep"
        )
    for i, run in enumerate(runs):
        if strange := [value for value in run.values() if not isinstance(value, _VALUES)]:
            kind = type(strange[0]).__name__
            raise ConfigError(
                f"'{path}' gives a field a value of type {kind}; use numbers or text", "--sweep"
            )
        if run in runs[:i]:
            raise ConfigError(f"'{path}' has the same run twice: {run}", "--sweep")
        if strange := [field for field in run if not isinstance(field, str)]:
            raise ConfigError(f"'{path}' names a field that is no text: {strange[0]!r}", "--sweep")
    return [dict(run) for run in runs]


def load_space(path: str | os.PathLike) -> list[Dimension]:
    """Reads what a search varies from a sweep file.

    Raises:
      ConfigError: the file is missing or fails, has no get_sweep, or gives anything but fields to vary.
    """
    space = _called(path)
    if not _is_space(space):
        text = f"get_sweep of '{path}' must return a list of h.search(..) and h.choice(..) for --trials"
        raise ConfigError(text, "--sweep")
    fields = [dimension.field for dimension in space]
    if twice := [field for field in fields if fields.count(field) > 1]:
        raise ConfigError(f"'{path}' varies '{twice[0]}' twice", "--sweep")
    return space


def _called(path: str | os.PathLike) -> Any:
    """Returns what the get_sweep of a file gives."""
    path = Path(path)
    if not path.is_file():
        known = ", ".join(str(p) for p in sorted(path.parent.glob("*.py")))
        raise ConfigError(f"no file '{path}'{f'; there are {known}' if known else ''}", "--sweep")
    return call_file(path, "get_sweep", "--sweep", sys.modules[__name__])


def _is_space(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(d, Dimension) for d in value)


def short_names(names: Iterable[str], reserved: Sequence[str] = ()) -> dict[str, str]:
    """Returns {name: its shortest end, at dots and slashes, that no other of `names` has}.

    Args:
      reserved: what no name is shortened to.
    """
    ends = {name: name_ends(name) for name in names}  # each once
    taken = collections.Counter([*reserved, *(end for ends_of_one in ends.values() for end in ends_of_one)])
    return {
        name: next((end for end in ends_of_one if taken[end] == 1), name)
        for name, ends_of_one in ends.items()
    }


def name_ends(name: str) -> list[str]:
    """Lists the ends of a name, shortest first: of a.b/c they are c, b/c and a.b/c."""
    begins = [0, *(match.end() for match in re.finditer(r"[./]", name))]
    return [name[begin:] for begin in reversed(begins)]


def names(runs: Sequence[Overrides]) -> list[str]:
    """Returns a folder's name for every run: its overrides, with the fields as short as they can be."""
    short = short_names(field for run in runs for field in run)
    texts = [",".join(f"{short[field]}={value}" for field, value in run.items()) for run in runs]
    return [_as_folder(text or "base") for text in texts]


def _as_folder(text: str) -> str:
    name = re.sub(r"[^\w.,=+-]+", "_", text)
    if len(name) <= _LONGEST_NAME and name == text:
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]  # so that no two are the same
    return f"{name[: _LONGEST_NAME - 9]}-{digest}"
