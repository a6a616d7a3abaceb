"""What an evaluation prints and draws."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from eval.nearest_images import nearest_images, signed
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
      path: of the PNG file; one of an earlier evaluation is removed.
    """
    if len(records) < 2:
        path.unlink(missing_ok=True)
        return
    names = recorded_metrics(records[-1])
    bands = {
        name: [Band(b["images"], b[name], b.get(f"{name}_std", 0.0)) for b in bounds if name in b]
        for name in names
    }
    metric_curves(records, by_panel(names), path, bands)


def nearest_training_images(samples: np.ndarray, held_out: np.ndarray, train: Dataset, path: Path) -> str:
    """Draws the training images nearest to samples; returns a line on how near samples and real images are.

    Args:
      samples: float32 [n, h, w, c] in [-1, 1]; the first ten are drawn, at the left.
      held_out: as many real images that training has not seen.
      train: what the run was trained on.
      path: of the PNG file.
    """
    k = min(_NEAREST, train.size)
    numbers, distances = nearest_images(samples, train, k)
    rows = [(image[None], signed(train, near)) for image, near in zip(samples, numbers, strict=True)]
    image_grid(np.concatenate([part for row in rows[:_SAMPLES] for part in row]), path, columns=k + 1)
    of_real = nearest_images(held_out, train, 1)[1]
    return (
        "distance to the nearest training image (root mean square of pixels in [-1, 1], median and least): "
        f"samples {np.median(distances[:, 0]):.3f} and {distances[:, 0].min():.3f}, "
        f"held-out images {np.median(of_real):.3f} and {of_real.min():.3f}"
    )


def _cell(record: Mapping, name: str) -> str:
    value = record[name]
    if isinstance(value, float):
        return mean_and_spread(value, record.get(f"{name}_std", 0.0))
    return f"{value:,}" if isinstance(value, int) else value
