"""Slices of splits in TFDS's notation, for the sets that TFDS does not hold."""

import re
from collections.abc import Mapping

from lib.errors import ConfigError

_BOUND = r"(-?[0-9]{1,18}%?)?"
_SPLIT = re.compile(rf"([\w-]+)(?:\[{_BOUND}:{_BOUND}\])?")


def parse(split: str, sizes: Mapping[str, int], name: str) -> tuple[str, slice]:
    """Parses `train`, `train[:1000]` or `train[-10%:]`; percentages go to the nearest example.

    Args:
      split: what the config asks for.
      sizes: how many examples each whole split has.
      name: of the set, for error messages.

    Returns:
      (whole split, rows of it).

    Raises:
      ConfigError: an unknown split, or a slice that is empty or longer than its split.
    """
    match = _SPLIT.fullmatch(split)
    if not match or match[1] not in sizes:
        raise unknown(name, split, sizes)
    size = sizes[match[1]]
    first, last = _position(match[2] or "0", size), _position(match[3] or "100%", size)
    if not 0 <= first < last <= size:
        raise ConfigError(
            f"'{split}' of {name} is empty or out of range; {match[1]} has {size:,} examples",
            "config.dataset",
        )
    return match[1], slice(first, last)


def unknown(name: str, split: str, known: Mapping[str, object]) -> ConfigError:
    """Returns the error of a set that has no such split."""
    text = f"{name} has no split '{split}'; known: {', '.join(known)}, and slices of them like train[:1000]"
    return ConfigError(text, "config.dataset")


def _position(bound: str, size: int) -> int:
    """Returns the example, counted from the front, at which a slice begins or ends."""
    is_percentage = bound.endswith("%")
    position = round(int(bound[:-1]) * size / 100) if is_percentage else int(bound)
    return position + size if bound.startswith("-") else position
