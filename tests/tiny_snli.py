"""A tiny `snli` folder of TFDS, written by TFDS itself, and a file of word vectors."""

from pathlib import Path

import numpy as np

from lib.tensorflow import tensorflow_datasets

# {split: [(premise, hypothesis, label)]}; -1: the annotators disagreed
PAIRS = {
    "train": [
        ("A man sleeps.", "A man doesn't sleep.", 2),
        ("Two dogs run  in snow.", "Animals run.", 0),
        ("A man sleeps.", "It is late.", -1),
        ("Dogs.", "The dogs sleep in the snow.", 1),
        ("A horse jumps over a broken down airplane.", "A horse jumps.", 0),
        ("A man sleeps.", "A man is awake.", 2),
        ("Two dogs sleep.", "It is snow.", 1),
    ],
    "validation": [("A cat sleeps.", "A man sleeps.", 1), ("Cats run.", "Zebras.", 2), ("A", "B", -1)],
    "test": [("A man runs.", "Dogs run in snow.", 2)],
}
_WORDS = ("sleeps", "A", ".", "Dogs", "cat", "<s>", "zzz")
VECTORS = {word: 0.1 * np.arange(3) - 0.2 * i for i, word in enumerate(_WORDS, 1)}


def write_set(root: Path) -> None:
    """Writes the set into TFDS's folder."""
    tfds = tensorflow_datasets()
    kinds = {feature: tfds.features.Text() for feature in ("premise", "hypothesis")}
    kinds["label"] = tfds.features.ClassLabel(names=["entailment", "neutral", "contradiction"])
    examples = {
        split: [(i, dict(zip(kinds, pair, strict=True))) for i, pair in enumerate(pairs)]
        for split, pairs in PAIRS.items()
    }
    tfds.dataset_builders.store_as_tfds_dataset(
        name="snli",
        version="1.1.0",
        data_dir=root,
        features=tfds.features.FeaturesDict(kinds),
        split_datasets=examples,
        disable_shuffling=True,
    )


def write_vectors(path: Path) -> None:
    """Writes VECTORS in GloVe's format."""
    lines = [f"{word} {' '.join(map(str, vector))}\n" for word, vector in VECTORS.items()]
    path.write_text("".join(lines))
