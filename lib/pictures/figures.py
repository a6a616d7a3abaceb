"""Matplotlib's figures: made and written without pyplot, imported when the first one is made."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lib.runtime.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> "Figure":
    """Returns an empty figure of a size in inches, whose layout keeps labels apart."""
    from matplotlib.figure import Figure  # takes a second to import

    return Figure(figsize=(width, height), layout="constrained")


def new_panels(rows: int, columns: int, width: float, height: float) -> tuple["Figure", Sequence["Axes"]]:
    """Returns a figure of panels with fixed margins for labels, and their axes row by row.

    It is drawn in half the time of one whose layout is fitted.

    Args:
      width, height: of a panel with its margins, in inches.
    """
    from matplotlib.figure import Figure

    left, right, bottom, top = 0.75, 0.15, 0.5, 0.2  # inches
    figure = Figure(figsize=(width * columns, height * rows))
    figure.subplots_adjust(
        left=left / (width * columns),
        right=1 - right / (width * columns),
        bottom=bottom / (height * rows),
        top=1 - top / (height * rows),
        wspace=(left + right) / (width - left - right),
        hspace=(bottom + top) / (height - bottom - top),
    )
    return figure, figure.subplots(rows, columns, squeeze=False).ravel()


def hide_upper_spines(axis: "Axes") -> None:
    """Hides the lines above and to the right of the axes."""
    axis.spines[["top", "right"]].set_visible(False)


def save_figure(figure: "Figure", path: Path, dpi: int = 120) -> None:
    """Writes a figure in the format that the path's ending names."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=dpi)
