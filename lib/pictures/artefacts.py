"""What an experiment shows of a state: pictures and arrays, each of which knows how it is written."""

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax

from lib.pictures.figures import save_figure
from lib.pictures.images import image_grid, strip
from lib.pictures.scatter import scatter
from lib.runtime.npy_files import write_npy

FIGURES = "figures"  # of a run's folder


class Artefact(Protocol):
    """A picture or an array of one state."""

    def write(self, folder: Path, name: str, step: int) -> Path | None:
        """Writes itself into a run's folder; returns the file of the picture, None where it is none."""


class Images(NamedTuple):
    """A grid of images: figures/<name>_<step>.png.

    Attributes:
      images: float [n, h, w, c] in [-1, 1].
    """

    images: Any

    def write(self, folder: Path, name: str, step: int) -> Path:
        """Writes the grid as PNG."""
        path = _picture(folder, name, step)
        image_grid(jax.device_get(self.images), path)
        return path


class Points(NamedTuple):
    """Points in the plane, and the places where they ought to lie: figures/<name>_<step>.png.

    Those of all steps so far are also put side by side: samples in figures/modes.png.

    Attributes:
      points: [n, 2].
      places: [k, 2].
    """

    points: Any
    places: Any

    def write(self, folder: Path, name: str, step: int) -> Path:
        """Writes the scatter of this step, and the strip of all steps so far."""
        path = _picture(folder, name, step)
        scatter(*jax.device_get((self.points, self.places)), f"step {step:,}", path)
        earlier = sorted(p for p in path.parent.glob(f"{name}_*.png") if p <= path)
        strip(earlier, path.with_name(f"{name.replace('samples', 'modes')}.png"))
        return path


class Picture(NamedTuple):
    """A matplotlib figure of all steps so far: figures/<name>.png."""

    figure: Any

    def write(self, folder: Path, name: str, step: int) -> Path:
        """Writes the figure as PNG."""
        del step
        path = folder / FIGURES / f"{name}.png"
        save_figure(self.figure, path)
        return path


class Array(NamedTuple):
    """A result: <name>.npy."""

    values: Any

    def write(self, folder: Path, name: str, step: int) -> None:
        """Writes the array in NumPy's format."""
        del step
        write_npy(folder / f"{name}.npy", jax.device_get(self.values))


def _picture(folder: Path, name: str, step: int) -> Path:
    return folder / FIGURES / f"{name}_{step:07}.png"
