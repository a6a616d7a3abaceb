"""Pictures: grids of images, scatters of points, and curves of metrics."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lib.runtime.files import replacing

# Okabe and Ito's palette: people who see colours differently can tell these apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MIN_TILE = 32  # small images are enlarged, pixel by pixel, to about this size
_MAX_STRIP = 6  # pictures side by side


def image_grid(images: np.ndarray, path: Path, columns: int | None = None) -> None:
    """Writes a grid of images as PNG, row by row.

    Args:
      images: float [n, h, w, c] in [-1, 1], c 1 or 3.
      path: of the PNG file.
      columns: images in a row; by default the grid is about square.
    """
    from PIL import Image

    n, h, w, c = images.shape
    columns = columns or int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    pixels = np.clip(np.round((images + 1) * 127.5), 0, 255).astype(np.uint8)
    zoom = max(1, _MIN_TILE // h)
    pixels = pixels.repeat(zoom, 1).repeat(zoom, 2)
    canvas = np.full((rows, h * zoom + 1, columns, w * zoom + 1, c), 128, np.uint8)
    for i, image in enumerate(pixels):
        canvas[i // columns, :-1, i % columns, :-1] = image
    canvas = canvas.reshape(rows * (h * zoom + 1), columns * (w * zoom + 1), c)[:-1, :-1]
    with replacing(path) as temporary:
        Image.fromarray(canvas.squeeze()).save(temporary, format="PNG")


def rows_as_images(rows: Any, shape: Sequence[int]) -> Any:
    """[k, d] as images [k, h, w, c] in [-1, 1], each scaled by its largest number; of NumPy or JAX."""
    return (rows / abs(rows).max(1, keepdims=True)).reshape(-1, *shape)


def scatter(points: np.ndarray, places: np.ndarray, title: str, path: Path) -> None:
    """Writes a square picture of points and, as rings, of their places.

    The places alone set the axes, so that pictures compare; points far away are not seen.

    Args:
      points: [n, 2].
      places: [k, 2].
      title: above the axes.
      path: of the PNG file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3, 3), layout="constrained")
    axis = figure.subplots()
    half = 1.3 * np.abs(places).max()
    axis.plot(*places.T, "o", mfc="none", mec=COLOURS[1], ms=9)
    axis.plot(*points.T, ".", color=COLOURS[0], alpha=0.3, ms=3, mew=0)
    axis.set(xlim=(-half, half), ylim=(-half, half), xlabel="x", ylabel="y", title=title, aspect="equal")
    axis.locator_params(nbins=5)
    save(figure, path)


def strip(pictures: Sequence[Path], path: Path) -> None:
    """Writes pictures of one size side by side: the first, the last, and some evenly spaced between them."""
    from PIL import Image

    chosen = np.unique(np.linspace(0, len(pictures) - 1, _MAX_STRIP).round().astype(int))
    images = [np.asarray(Image.open(pictures[i]).convert("RGB")) for i in chosen]
    with replacing(path) as temporary:
        Image.fromarray(np.concatenate(images, 1)).save(temporary, format="PNG")


def by_prefix(names: Iterable[str]) -> dict[str, list[str]]:
    """{prefix: names}: names like `angle/01` go together, under what is before the slash."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.split("/")[0], []).append(name)
    return groups


def _colours(n: int) -> Sequence[Any]:
    """n colours that can be told apart; of many, neighbours are alike and the order shows."""
    if n <= len(COLOURS):
        return COLOURS[:n]
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0, 0.9, n))


def curves(records: Sequence[Mapping[str, float]], panels: Mapping[str, Sequence[str]], path: Path) -> None:
    """Writes a picture with one panel per group of metrics against the step.

    Args:
      records: with `step` and metrics, as read from metrics/*.jsonl.
      panels: {label of the y axis: names of metrics}; names without records are left out.
      path: of the PNG file.
    """
    from matplotlib.figure import Figure

    panels = {
        label: [name for name in names if any(name in r for r in records)]
        for label, names in panels.items()
    }
    panels = {label: names for label, names in panels.items() if names}
    if not panels:
        return
    figure = Figure(figsize=(5 * len(panels), 3.4), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (label, names) in zip(axes, panels.items(), strict=True):
        for name, colour in zip(names, _colours(len(names)), strict=True):
            points = [(r["step"], r[name]) for r in records if name in r]
            marker = "o" if len(points) == 1 else None
            axis.plot(*zip(*points, strict=True), label=name, color=colour, lw=1, marker=marker)
        axis.set(xlabel="step", ylabel=label)
        if len(names) > len(COLOURS):
            axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
        elif len(names) > 1:
            axis.legend(frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def save(figure, path: Path) -> None:
    """Writes a matplotlib figure as PNG."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
