"""Which runs of a sweep share a compiled program: those that differ in numbers of their state alone.

Here is the one table of fields that are such numbers; all other fields are structure.
"""

import fnmatch
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pydantic

from lib.schema import Run

SEED = "seed"  # of arguments of the programs: keys, the order of the data, the first state
# Floats that an optimiser keeps in its state; counts, flags and choices are structure.
OF_OPTIMIZERS = (
    "*.optimizer.learning_rate",
    "*.optimizer.kwargs.*",
    "*.optimizers.*.learning_rate",
    "*.optimizers.*.kwargs.*",
)
# Weights of terms in a game's state; what is zero is not computed, so zero or not is structure.
OF_TERMS = (
    "*.grad_regularizes.dd_coeffs_multiplier.*.*",
    "*.grad_regularizes.explicit_non_dd_coeffs.*.*",
    "*.grad_regularizes.rk_after_explicit_coeffs.*.*",
    "*.sga.weight",
    "gan.gradient_penalty",
    "gan.r1_penalty",
    "gan.r2_penalty",
)
_NUMBER = "a number"


def fields(config: Run) -> dict[str, Any]:
    """Returns {field: value} of a validated config, down to its leaves."""
    return dict(_leaves("", config))


def is_number(field: str, value: Any) -> bool:
    """Tells whether a field with this value is the seed or a number of the state."""
    if field == SEED:
        return True
    if not isinstance(value, float):
        return False
    return _matches(field, OF_OPTIMIZERS) or (value != 0 and _matches(field, OF_TERMS))


def matches(field: str, pattern: str) -> bool:
    """Tells whether a field is of a pattern: * is one name between dots, at its beginning one or more."""
    names, wanted = field.split("."), pattern.split(".")
    if wanted[0] == "*":
        names, wanted = names[-len(wanted) + 1 :], wanted[1:]
    return len(names) == len(wanted) and all(map(fnmatch.fnmatchcase, names, wanted))


def structure(config: Run) -> dict[str, str]:
    """Returns {field: value as JSON} of a config, where numbers of the state are all the same."""
    return {f: _NUMBER if is_number(f, v) else _text(v) for f, v in fields(config).items()}


def numbers(config: Run) -> dict[str, str]:
    """Returns {field: value as JSON} of a config's numbers of the state, without the seed."""
    return {f: _text(v) for f, v in fields(config).items() if f != SEED and is_number(f, v)}


def group_numbers(structures: Sequence[Mapping[str, str]]) -> list[int]:
    """Returns the number of each run's group, 1, 2, .. in the order of their first runs."""
    known: dict[str, int] = {}
    return [known.setdefault(json.dumps(s, sort_keys=True), len(known) + 1) for s in structures]


def differing(structures: Sequence[Mapping[str, str]]) -> list[str]:
    """Lists the fields of structure in which runs differ."""
    names = dict.fromkeys(name for s in structures for name in s)
    return [name for name in names if len({s.get(name) for s in structures}) > 1]


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    inner: Mapping[str, Any] = {}
    if isinstance(value, pydantic.BaseModel):
        inner = {field: getattr(value, field) for field in type(value).model_fields}
    elif isinstance(value, Mapping):
        inner = value
    elif hasattr(value, "_asdict"):
        inner = value._asdict()
    if not inner:
        yield name, value
    for key, part in inner.items():
        yield from _leaves(f"{name}.{key}" if name else key, part)


def _matches(field: str, patterns: Sequence[str]) -> bool:
    return any(matches(field, pattern) for pattern in patterns)


def _text(value: Any) -> str:
    return json.dumps(value, default=str)
