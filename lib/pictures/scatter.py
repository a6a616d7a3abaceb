"""Scatters of points in the plane."""

from pathlib import Path

import numpy as np

from lib.pictures.colours import COLOURS
from lib.pictures.figures import new_figure, save_figure


def scatter(points: np.ndarray, places: np.ndarray, title: str, path: Path) -> None:
    """Writes a square picture of points and, as rings, of the places where they ought to lie.

    The places alone set the axes, so that pictures compare; points far away are not seen.

    Args:
      points: [n, 2].
      places: [k, 2].
      title: above the axes.
      path: of the PNG file.
    """
    figure = new_figure(3, 3)
    axis = figure.subplots()
    half = 1.3 * np.abs(places).max()
    axis.plot(*places.T, "o", mfc="none", mec=COLOURS[1], ms=9)
    axis.plot(*points.T, ".", color=COLOURS[0], alpha=0.3, ms=3, mew=0)
    axis.set(xlim=(-half, half), ylim=(-half, half), xlabel="x", ylabel="y", title=title, aspect="equal")
    axis.locator_params(nbins=5)
    save_figure(figure, path)
