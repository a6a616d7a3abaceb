"""Word vectors from a text file in GloVe's format: a word and its numbers on each line.

Pennington, Socher, Manning, 'GloVe: Global Vectors for Word Representation', EMNLP 2014.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.errors import ConfigError
from lib.runtime.progress import Progress

_FIELD = "config.dataset.kwargs.vectors"


class WordVectors(NamedTuple):
    """The vectors of some words.

    Attributes:
      rows: the words' numbers, in the order of the file.
      vectors: float32 [words, d], in that order.
    """

    rows: list[int]
    vectors: np.ndarray


def stamp(path: str) -> str:
    """Returns a name that changes with the file; `learned` where none is named.

    Raises:
      ConfigError: there is no such file, or its first line is not a word and numbers.
    """
    if not path:
        return "learned"
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise ConfigError(
            f"no file '{path}'; name a text file of word vectors, such as glove.840B.300d.txt, or leave it "
            "empty: the network learns its own",
            _FIELD,
        )
    with file.open("rb") as lines:
        _vector(path, 1, lines.readline().partition(b" ")[2], 0)
    status = file.stat()
    return hashlib.sha256(str((file, status.st_size, status.st_mtime_ns)).encode()).hexdigest()[:16]


def read(path: str, numbers: Mapping[str, int]) -> WordVectors:
    """Reads the vectors of the words that are asked for; of a word with two lines, the first.

    Args:
      path: of the file.
      numbers: of the words.

    Raises:
      ConfigError: a line has no vector or one of another length, or the file has none of the words.
    """
    file = Path(path).expanduser()
    rows, vectors = {}, []
    progress = Progress(file.stat().st_size, unit="byte", label=file.name)
    try:
        with file.open("rb") as lines:
            for i, line in enumerate(lines, 1):
                progress.advance(len(line))
                progress.show({})
                word, _, text = line.partition(b" ")
                number = numbers.get(word.decode(errors="replace"))
                if number is None or number in rows:
                    continue
                rows[number] = None
                vectors.append(_vector(path, i, text, len(vectors[0]) if vectors else 0))
    finally:
        progress.close()
    if not vectors:
        raise ConfigError(f"'{path}' has none of the set's {len(numbers):,} words", _FIELD)
    return WordVectors(list(rows), np.stack(vectors))


def _vector(path: str, line: int, text: bytes, d: int) -> np.ndarray:
    """Returns the numbers of a line, float32 [d]; d of the first one is free.

    Raises:
      ConfigError: they are no numbers, or not so many.
    """
    try:
        vector = np.array(text.split(), np.float32)
    except ValueError:
        vector = np.zeros(0, np.float32)
    if not vector.size or not np.isfinite(vector).all() or (d and len(vector) != d):
        expected = f"{d} numbers" if d else "numbers"
        raise ConfigError(f"line {line} of '{path}' is not a word and {expected}", _FIELD)
    return vector
