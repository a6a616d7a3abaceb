"""Word vectors from a text file in GloVe's format: a word and its numbers on each line.

Pennington, Socher, Manning, 'GloVe: Global Vectors for Word Representation', EMNLP 2014.
"""

import hashlib
import itertools
import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.errors import ConfigError
from lib.runtime.progress import Progress

_FIELD = "config.dataset.kwargs.vectors"
_FIRST_LINES = 100  # that say how long vectors are


class WordVectors(NamedTuple):
    """The vectors of some words.

    Attributes:
      rows: the words' numbers, in their order.
      vectors: float32 [words, d], in that order.
    """

    rows: list[int]
    vectors: np.ndarray


def stamp(path: str) -> str:
    """Returns a name that changes with the file; `learned` where none is named.

    Raises:
      ConfigError: there is no such file, or it is not in that format.
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
    _length(path)
    status = file.stat()
    return hashlib.sha256(str((file, status.st_size, status.st_mtime_ns)).encode()).hexdigest()[:16]


def read(path: str, numbers: Mapping[str, int]) -> WordVectors:
    """Reads the vectors of the words that are asked for; of a word with two lines, the first.

    Args:
      path: of the file.
      numbers: of the words.

    Raises:
      ConfigError: a line has no vector, or a shorter one, or the file has none of the words.
    """
    file = Path(path).expanduser()
    rows, vectors, d = {}, [], _length(path)
    progress = Progress(file.stat().st_size, unit="byte", label=file.name)
    try:
        with file.open("rb") as lines:
            for i, line in enumerate(lines, 1):
                progress.advance(len(line))
                progress.show({})
                word, _, text = line.partition(b" ")
                number = numbers.get(word.decode(errors="replace"))
                # A line with more than d numbers is of a word of several parts, which no set has.
                if number is None or number in rows or len(text.split()) > d or _is_header(line):
                    continue
                rows[number] = None
                vectors.append(_vector(path, i, text, d))
    finally:
        progress.close()
    if not vectors:
        raise ConfigError(f"'{path}' has none of the set's {len(numbers):,} words", _FIELD)
    order = np.argsort(list(rows))  # whatever the order of the file
    return WordVectors(sorted(rows), np.stack(vectors)[order])


def _length(path: str) -> int:
    """Returns d, the length of vectors: what most of the first lines have behind their word.

    Raises:
      ConfigError: that is no number.
    """
    with Path(path).expanduser().open("rb") as lines:
        first = [line for line in itertools.islice(lines, _FIRST_LINES) if not _is_header(line)]
    d = statistics.mode([len(line.split()) - 1 for line in first] or [0])
    if d < 1:
        raise ConfigError(f"'{path}' is not in GloVe's format: a word and its numbers on each line", _FIELD)
    return d


def _is_header(line: bytes) -> bool:
    """Tells whether a line says how many words of which length a file has, as word2vec's do."""
    return re.fullmatch(rb"\d+ \d+\s*", line) is not None


def _vector(path: str, line: int, text: bytes, d: int) -> np.ndarray:
    """Returns the numbers of a line, float32 [d].

    Raises:
      ConfigError: they are no numbers, or not so many.
    """
    try:
        vector = np.array(text.split(), np.float32)
    except ValueError:
        vector = np.zeros(0, np.float32)
    if len(vector) != d or not np.isfinite(vector).all():
        raise ConfigError(f"line {line} of '{path}' is not a word and {d} numbers", _FIELD)
    return vector
