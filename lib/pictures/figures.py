"""Matplotlib's figures: made and written without pyplot, imported when the first one is made."""

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


def hide_upper_spines(axis: "Axes") -> None:
    """Hides the lines above and to the right of the axes."""
    axis.spines[["top", "right"]].set_visible(False)


def save_figure(figure: "Figure", path: Path, dpi: int = 120) -> None:
    """Writes a figure in the format that the path's ending names."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=dpi)
