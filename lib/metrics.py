"""What the name of a metric says about it."""

from collections.abc import Mapping, Sequence

_LOWER_IS_BETTER = ("frechet", "FID", "kernel", "KID", "loss")
_HIGHER_IS_BETTER = ("score", "IS", "accuracy", "captured_modes", "high_quality")


def lower_is_better(name: str) -> bool:
    """Whether the smaller of two values is the better one; of a name that does not tell, the larger is."""
    return name.endswith(_LOWER_IS_BETTER)


def is_score(name: str) -> bool:
    """Whether the name tells which of two values is the better one."""
    return name.endswith(_LOWER_IS_BETTER + _HIGHER_IS_BETTER)


def best(records: Sequence[Mapping], name: str) -> Mapping:
    """The record with the best value of a metric, the first of equal ones.

    A minus before the name says that the smaller value is the better one.
    """
    metric = name.removeprefix("-")
    lower = name.startswith("-") or lower_is_better(metric)
    return (min if lower else max)(records, key=lambda record: record[metric])
