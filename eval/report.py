"""What an evaluation prints and draws."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from eval import sampling
from eval.nearest_images import nearest_images
from lib.data import Dataset
from lib.pictures.images import image_grid
from lib.pictures.metrics import Band, by_panel, metric_curves
from lib.tables import aligned, mean_and_spread

_NOT_SHOWN = ("network", "network_checksum", "resize", "classes")
_BY_NEIGHBOURS = ("precision", "recall", "density", "coverage")
_SAMPLES, _NEAREST = 10, 9  # rows of the picture of nearest images, and images beside each


def recorded_metrics(record: Mapping) -> list[str]:
    """Returns the names of a record's metrics, without their spreads and the conditions."""
    return [n for n, v in record.items() if isinstance(v, float) and not n.endswith("_std")]


def table(records: Sequence[Mapping]) -> str:
    """Formats records as aligned columns; a `<name>_std` stands behind its mean as +-.

    The scores by nearest neighbours, if there are any, are a second table below the first.
    """
    names = [n for n in records[0] if n not in _NOT_SHOWN and not n.endswith("_std")]
    below = [name for name in names if name.endswith(_BY_NEIGHBOURS)]
    tables = [[name for name in names if name not in below]]
    tables += [[names[0], *below]] if below else []
    cells = ([part] + [[_cell(record, name) for name in part] for record in records] for part in tables)
    return "\n".join(map(aligned, cells))


def shares(counts: Sequence[int]) -> str:
    """Formats how often each class is the most likely one, in percent; of many classes the top ten."""
    total = sum(counts)
    order = sorted(range(len(counts)), key=lambda c: -counts[c])[:10]
    order = order if len(counts) > 10 else sorted(order)
    return "  ".join(f"{c}: {100 * counts[c] / total:.0f}%" for c in order)


def score_curves(records: Sequence[Mapping], bounds: Sequence[Mapping], path: Path) -> None:
    """Draws each metric against the step, with the bounds as bands; nothing where there is one record.

    Args:
      records: of one or more steps, the newest last.
      bounds: the records of real images and of noise.
      path: of the PNG file.
    """
    if len(records) < 2:
        return
    names = recorded_metrics(records[-1])
    bands = {
        name: [Band(b["images"], b[name], b.get(f"{name}_std", 0.0)) for b in bounds if name in b]
        for name in names
    }
    metric_curves(records, by_panel(names), path, bands)


def nearest_training_images(samples: np.ndarray, of_real: np.ndarray, train: Dataset, path: Path) -> str:
    """Draws the training images nearest to samples; returns a line on how near samples and real images are.

    Args:
      samples: float32 [n, h, w, c] in [-1, 1]; the first ten are drawn, at the left.
      of_real: distances of real images, that training has not seen, to their nearest training image, [n].
      train: what the run was trained on.
      path: of the PNG file.
    """
    k = min(_NEAREST, train.size)
    numbers, distances = nearest_images(samples, train, k)
    rows = zip(samples[:_SAMPLES], numbers[:_SAMPLES], strict=True)
    images = [part for image, near in rows for part in (image[None], sampling.signed(train, near))]
    image_grid(np.concatenate(images), path, columns=k + 1)
    return (
        "distance to the nearest training image (root mean square of pixels in [-1, 1], median and least): "
        f"samples {np.median(distances[:, 0]):.3f} and {distances[:, 0].min():.3f}, "
        f"held-out images {np.median(of_real):.3f} and {of_real.min():.3f}"
    )


def _cell(record: Mapping, name: str) -> str:
    value = record[name]
    if isinstance(value, float):
        return mean_and_spread(value, record.get(f"{name}_std", 0.0))
    return f"{value:,}" if isinstance(value, int) else value or "-"
