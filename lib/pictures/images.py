"""Images as PNG files: grids of an array's images, and pictures side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lib.runtime.files import replacing

_MIN_TILE = 32  # small images are enlarged, pixel by pixel, to about this size
_MAX_STRIP = 6  # pictures side by side


def image_grid(images: np.ndarray, path: Path, columns: int | None = None) -> None:
    """Writes a grid of images as PNG, row by row.

    Args:
      images: float [n, h, w, c] in [-1, 1], c 1 or 3.
      path: of the PNG file.
      columns: images in a row; by default the grid is about square.
    """
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
    _write_png(canvas.squeeze(), path)


def strip(pictures: Sequence[Path], path: Path) -> None:
    """Writes pictures of one size side by side: the first, the last, and some evenly spaced between."""
    from PIL import Image

    chosen = np.unique(np.linspace(0, len(pictures) - 1, _MAX_STRIP).round().astype(int))
    images = [np.asarray(Image.open(pictures[i]).convert("RGB")) for i in chosen]
    _write_png(np.concatenate(images, 1), path)


def _write_png(pixels: np.ndarray, path: Path) -> None:
    """Writes uint8 pixels [h, w] or [h, w, 3]."""
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")


def rows_as_images(rows: Any, shape: Sequence[int]) -> Any:
    """Returns rows [k, d] as images [k, h, w, c] in [-1, 1], each scaled by its largest magnitude.

    Args:
      rows: of NumPy or JAX.
      shape: (h, w, c), with h w c = d.
    """
    return (rows / abs(rows).max(1, keepdims=True)).reshape(-1, *shape)
