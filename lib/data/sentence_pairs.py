"""TFDS sets of pairs of sentences as arrays of words' numbers on disk, prepared once.

    image [n, 2, t]   the numbers of both sentences' words, from 1; 0 behind the last word

Sentences are cut into the tokens of the Penn Treebank, between a <s> and a </s>. Words have their numbers
in the order of their first use. Those without a vector are left out: where a file of vectors is named,
those that it does not have, else those that no training sentence has. Pairs without a label, on which
annotators disagreed, are left out too.
"""

import contextlib
import functools
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import NonNegativeInt

from lib.config import Section
from lib.data import splits, tfds, word_vectors
from lib.data.dataset import Dataset, Vocabulary
from lib.data.word_vectors import WordVectors
from lib.runtime.cache import kept
from lib.runtime.json_files import read_json, write_json
from lib.runtime.npy_files import write_npy
from lib.runtime.progress import Progress
from lib.tensorflow import tensorflow_datasets

SETS = {"snli": ("premise", "hypothesis")}  # {set: the features of its sentences}
_BEGIN, _END = "<s>", "</s>"
_BATCH = 1024  # pairs that TFDS gives at a time


class Arguments(Section):
    """`config.dataset.kwargs` of a set of pairs of sentences.

    Attributes:
      vectors: a text file of word vectors in GloVe's format; empty: the network learns its own.
      max_words: how many words of a sentence are read, with its marks; 0: all.
    """

    vectors: str = ""
    max_words: NonNegativeInt = 0


def is_one(name: str) -> bool:
    """Tells whether a set, such as `snli` or `snli:1.1.0`, has pairs of sentences."""
    return name.split(":")[0] in SETS


def load(name: str, split: str, data_dir: str, arguments: Arguments) -> Dataset:
    """Maps a split's words into memory; prepares the whole set first where that was not done before.

    Args:
      name: of a TFDS set in SETS, or `snli:1.1.0` for one version.
      split: of TFDS, or a slice of one such as `train[:1000]`.
      data_dir: of TFDS; empty for TFDS_DATA_DIR or TFDS's own default.
      arguments: `config.dataset.kwargs`.

    Raises:
      ConfigError: unknown split, a file of vectors that is missing or none, or data that is not here.
    """
    root = tfds.root(data_dir)
    what = f"words-{arguments.max_words}-{word_vectors.stamp(arguments.vectors)}"
    if not (files := tfds.files(name, root)):
        _builder(name, root)  # downloads it
        files = tfds.files(name, root)
    folder = tfds.cache_folder(name, root, files, what)
    # Written last, it says that the arrays beside it are whole.
    meta = kept(
        folder / "meta.json", _read, lambda path: _prepare(_builder(name, root), name, arguments, path)
    )
    whole, rows = splits.parse(split, meta.sizes, f"'{name}'")
    image, label = (_array(folder, f"{whole}_{part}") for part in ("words", "label"))
    vectors = _array(folder, "vectors") if meta.has_vectors else None
    vocabulary = Vocabulary(meta.num_words, vectors, meta.digest)
    return Dataset(image[rows], np.array(label[rows]), meta.num_classes, name=name, vocabulary=vocabulary)


class _Meta(Section):
    """Describes a prepared set besides its arrays."""

    sizes: dict[str, int]
    num_classes: int
    num_words: int
    has_vectors: bool
    digest: str


class _Sentences(NamedTuple):
    """The words of a split's sentences, one after another: numbers in the order of their first use.

    Attributes:
      words: int32 [all words].
      lengths: int32 [2 n].
      label: int32 [n].
    """

    words: np.ndarray
    lengths: np.ndarray
    label: np.ndarray


def _read(path: Path) -> _Meta:
    """Reads and checks what describes a set, and the shapes of its arrays.

    Raises:
      ValueError: they do not belong together; also as `read_json` and NumPy's reader.
    """
    meta = read_json(path, _Meta)
    for split, size in meta.sizes.items():
        words = _array(path.parent, f"{split}_words")
        label = _array(path.parent, f"{split}_label")
        if words.dtype != np.int32 or words.shape[:2] != (size, 2) or label.shape != (size,):
            raise ValueError("its arrays do not belong together")
    if meta.has_vectors and len(_array(path.parent, "vectors")) != meta.num_words + 1:
        raise ValueError("its vectors are of other words")
    return meta


def _array(folder: Path, name: str) -> np.ndarray:
    return np.load(folder / f"{name}.npy", mmap_mode="r")


def _builder(name: str, root: Path):
    """Returns the TFDS builder of a set, downloaded if TFDS can.

    Raises:
      ConfigError: it is not here, and cannot be downloaded.
    """
    builder = tfds.builder(name, root)
    tfds.download(builder, name, root)
    return builder


def _prepare(builder, name: str, arguments: Arguments, meta: Path) -> None:
    """Writes the arrays of all splits beside `meta`, and then that.

    Raises:
      ConfigError: damaged files, or a file of vectors that is none.
    """
    features, sizes = SETS[builder.name], {s: i.num_examples for s, i in builder.info.splits.items()}
    print(f"preparing {name}: {sum(sizes.values()):,} pairs of sentences, once, in {meta.parent}")
    numbers: dict[str, int] = {}
    progress = Progress(sum(sizes.values()), unit="pair", label=name)
    whole, train_words = {}, 0
    with contextlib.closing(progress), tfds.reading(builder, name):
        # Training's words come first: without a file of vectors they are all that has a number.
        for split in sorted(sizes, key=lambda split: (split != "train", split)):
            whole[split] = _numbered(_pairs(builder, split, features, progress), numbers)
            train_words = train_words or len(numbers)
    found = word_vectors.read(arguments.vectors, numbers) if arguments.vectors else None
    known = list(range(train_words)) if found is None else found.rows
    final = np.zeros(len(numbers), np.int32)
    final[known] = np.arange(1, len(known) + 1)
    packed = {split: _packed(s, final, arguments.max_words) for split, s in whole.items()}
    t = max(words.shape[-1] for words in packed.values())
    for split, words in packed.items():
        _save(meta, f"{split}_words", np.pad(words, ((0, 0), (0, 0), (0, t - words.shape[-1]))))
        _save(meta, f"{split}_label", whole[split].label)
    if found is not None:
        _save(meta, "vectors", np.pad(found.vectors, ((1, 0), (0, 0))))  # row 0 is no word
    facts = _Meta(
        sizes={split: len(s.label) for split, s in whole.items()},
        num_classes=builder.info.features["label"].num_classes,
        num_words=len(known),
        has_vectors=found is not None,
        digest=_digest(list(numbers), known, found),
    )
    print(f"{len(known):,} of {len(numbers):,} words are kept; the longest sentence has {t}")
    write_json(meta, facts.model_dump())


def _pairs(
    builder, split: str, features: tuple[str, str], progress: Progress
) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yields (label, pair of sentences) of the examples that have a label."""
    batches = builder.as_dataset(split=split, batch_size=_BATCH, shuffle_files=False)
    for batch in tensorflow_datasets().as_numpy(batches):
        for label, *pair in zip(batch["label"], *(batch[f] for f in features), strict=True):
            if label >= 0:
                yield int(label), tuple(sentence.decode() for sentence in pair)
        progress.advance(len(batch["label"]))
        progress.show({})


def _numbered(pairs: Iterator[tuple[int, tuple[str, str]]], numbers: dict[str, int]) -> _Sentences:
    """Returns sentences as numbers; new words are added to `numbers`."""
    words, lengths, labels = [], [], []
    for label, pair in pairs:
        labels.append(label)
        for sentence in pair:
            tokens = tokenize(sentence)
            lengths.append(len(tokens))
            words += [numbers.setdefault(word, len(numbers)) for word in tokens]
    return _Sentences(*(np.array(x, np.int32) for x in (words, lengths, labels)))


def tokenize(sentence: str) -> list[str]:
    """Returns the words of a sentence between their marks."""
    return [_BEGIN, *_tokenizer().tokenize(re.sub(r"\s+", " ", sentence)), _END]


@functools.cache
def _tokenizer():
    from nltk.tokenize import TreebankWordTokenizer  # takes a second to import

    return TreebankWordTokenizer()


def _packed(sentences: _Sentences, final: np.ndarray, max_words: int) -> np.ndarray:
    """Returns int32 [n, 2, t] of words' final numbers; words whose number is 0 are left out.

    Args:
      sentences: of a split.
      final: of each word, from 1; 0: it is left out.
      max_words: how many of a sentence are kept; 0: all.
    """
    numbers, count = final[sentences.words], len(sentences.lengths)
    sentence = np.repeat(np.arange(count), sentences.lengths)[numbers > 0]
    numbers = numbers[numbers > 0]
    lengths = np.bincount(sentence, minlength=count)
    place = np.arange(len(numbers)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    inside = place < (max_words or np.inf)
    t = min(lengths.max(initial=1), max_words or np.inf)
    packed = np.zeros((count, int(t)), np.int32)
    packed[sentence[inside], place[inside]] = numbers[inside]
    return packed.reshape(-1, 2, int(t))


def _digest(words: list[str], known: list[int], found: WordVectors | None) -> str:
    """Returns a digest of the words that are known, in their order, and of their vectors."""
    digest = hashlib.sha256("\n".join(words[i] for i in known).encode())
    if found is not None:
        digest.update(found.vectors.tobytes())
    return digest.hexdigest()[:16]


def _save(meta: Path, name: str, array: np.ndarray) -> None:
    write_npy(meta.with_name(f"{name}.npy"), array)
