"""How claims are checked: orders of means, nearness to numbers, and counts."""

from collections.abc import Mapping

import numpy as np

from analysis.reproduce.paper import Finding
from analysis.reproduce.results import Mean


def less(first: str, a: Mean | float, second: str, b: Mean | float, factor: float = 1.0) -> Finding:
    """Finds whether a is below b / factor; not finite counts as the largest."""
    times = "" if factor == 1 else f" (times {factor:g})"
    return Finding(f"{first} {_text(a)}{times}, {second} {_text(b)}", _value(a) * factor < _value(b))


def more(first: str, a: Mean | float, second: str, b: Mean | float) -> Finding:
    """Finds whether a is above b; what is not finite is above nothing."""
    holds = np.isfinite(_mean(a)) and _mean(a) > _mean(b)
    return Finding(f"{first} {_text(a)}, {second} {_text(b)}", bool(holds))


def near(name: str, value: float, number: float, tolerance: float) -> Finding:
    """Finds whether a value is within a tolerance of a number."""
    return Finding(
        f"{name} {value:.6g} ({number:.6g} within {tolerance:g})", bool(abs(value - number) <= tolerance)
    )


def below(name: str, value: Mean | float, bound: float) -> Finding:
    """Finds whether a value is at most a bound."""
    return Finding(f"{name} {_text(value)} (at most {bound:g})", bool(_value(value) <= bound))


def above(name: str, value: Mean | float, bound: float) -> Finding:
    """Finds whether a value is at least a bound."""
    return Finding(f"{name} {_text(value)} (at least {bound:g})", bool(_mean(value) >= bound))


def all_of(*findings: Finding) -> Finding:
    """Finds whether all of several hold."""
    return Finding("; ".join(f.ours for f in findings), all(f.holds for f in findings))


def ranks(name: str, means: Mapping[str, Mean], place: int, largest: bool = False) -> Finding:
    """Finds whether a method is among the first `place`, by the least mean or by the largest."""
    sign = -1 if largest else 1
    order = sorted(means, key=lambda x: np.nan_to_num(sign * means[x].mean, nan=np.inf))
    text = (" > " if largest else " < ").join(f"{x} {means[x]}" for x in order)
    return Finding(text, name in order[:place] and bool(np.isfinite(means[name].mean)))


def _mean(value: Mean | float) -> float:
    return value.mean if isinstance(value, Mean) else float(value)


def _value(value: Mean | float) -> float:
    """Returns a number, infinite where it is not finite."""
    return _mean(value) if np.isfinite(_mean(value)) else np.inf


def _text(value: Mean | float) -> str:
    return str(value) if isinstance(value, Mean) else f"{value:.4g}"
