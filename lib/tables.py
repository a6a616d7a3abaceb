"""Tables and numbers on a terminal."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Formats rows of equally many cells as columns, two spaces apart, each as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{c:>{w}}" for c, w in zip(row, widths, strict=True)) for row in rows)


def mean_and_spread(mean: float, spread: float) -> str:
    """Formats `mean +- spread`, or the mean alone where there is no spread (0 or NaN)."""
    return f"{mean:.4g} +- {spread:.2g}" if spread > 0 else f"{mean:.4g}"


def bytes_text(number: float) -> str:
    """Formats a number of bytes in the largest unit that it fills."""
    for unit, bound in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= bound:
            return f"{number / bound:,.1f} {unit}"
    return f"{number:,.0f} B"
