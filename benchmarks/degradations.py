"""How distances rank real images that are degraded step by step: `./run.sh bench degradations`."""

import functools
import zlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.command import image_programs, read_config
from eval import sampling
from eval.image_scorer import ImageScorer
from eval.networks import scoring_network
from eval.report import table
from lib.data import Dataset
from lib.errors import one_line_errors
from lib.runtime import records
from lib.schema import Run

_USAGE = """Scores real images that are blurred, noised, posterised, or lose classes, against held-out ones.

  ./run.sh bench degradations [--config=FILE] [--config.eval.FIELD=VALUE ...]
"""


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    """Returns images [b, h, w, c] after a Gaussian filter of so many pixels."""
    return gaussian_filter(images, (0, sigma, sigma, 0))


def noised(images: np.ndarray, sigma: float) -> np.ndarray:
    """Returns images in [-1, 1] with normal noise of a deviation, clipped; the same for the same images."""
    noise = np.random.default_rng(zlib.crc32(images)).normal(size=images.shape)
    return np.clip(images + sigma * noise, -1, 1).astype(np.float32)


def posterised(images: np.ndarray, levels: int) -> np.ndarray:
    """Returns images in [-1, 1] with so many grey values for each colour."""
    return np.round((images + 1) / 2 * (levels - 1)) / (levels - 1) * 2 - 1


# {kind: (what is done, strengths from weak to strong)}
_KINDS = {
    "blur": (blurred, (0.5, 1, 2)),
    "noise": (noised, (0.1, 0.2, 0.4)),
    "levels": (posterised, (8, 4, 2)),
}
_CLASSES = (5, 2)  # of the first so many classes alone


def degraded(train: Dataset, n: int, batch_size: int) -> Iterator[tuple[str, Iterator[np.ndarray]]]:
    """Yields (kind and strength, batches of n images) of a set, each kind from weak to strong."""
    draw = functools.partial(sampling.real, n=n, batch_size=batch_size, seed=0, quiet=True)
    yield "real", draw(train)
    for kind, (change, strengths) in _KINDS.items():
        for strength in strengths:
            yield f"{kind} {strength}", (change(images, strength) for images in draw(train))
    for classes in _CLASSES:
        yield f"classes {classes}", draw(train.take(np.flatnonzero(train.label < classes)))


def misranked(rows: Sequence[Mapping], names: Sequence[str]) -> list[str]:
    """Returns the scores that do not get worse from each strength of a degradation to the next, in words.

    Args:
      rows: records with `images`: `real`, then `KIND STRENGTH` from weak to strong.
      names: of the scores.
    """
    wrong = []
    for name in names:
        sign = 1 if records.lower_is_better(name) else -1
        for kind in dict.fromkeys(row["images"].split()[0] for row in rows[1:]):
            chain = [rows[0], *(row for row in rows if row["images"].split()[0] == kind)]
            values = [sign * row[name] for row in chain]
            wrong += [
                f"{name} of '{b['images']}' is not worse than of '{a['images']}'"
                for a, b, x, y in zip(chain, chain[1:], values, values[1:], strict=False)
                if y <= x
            ]
    return wrong


def measure(config: Run) -> None:
    """Prints the scores of degraded real images, and which distances do not rank them.

    Raises:
      ConfigError: the config's experiment makes no images.
    """
    programs = image_programs(config)
    network, train = scoring_network(config, programs.data.train).load(), programs.data.train
    scorer = ImageScorer(programs, network, programs.data.held_out)
    # Of all rows equally many: the Frechet distance is biased in the number of images.
    fewest = np.count_nonzero(train.label < min(_CLASSES))
    n = min(config.eval.num_samples // config.eval.num_splits, fewest)
    rows = [scorer.record(name, images) for name, images in degraded(train, n, config.eval.batch_size)]
    print(f"{n:,} training images of {config.dataset.name} against the {config.dataset.eval_split} split")
    print(table(rows))
    distances = [network.names[name] for name in ("frechet", "kernel") if name in network.names]
    print("\n".join(misranked(rows, distances)) or "every degradation raises every distance")


def main(argv: list[str]) -> int:
    """Scores degraded images of the config that a command line names; returns the exit code."""
    with one_line_errors():
        measure(read_config(argv, _USAGE))
    return 0
