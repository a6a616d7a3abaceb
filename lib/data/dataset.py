"""A split of labelled images, points or sentences, in memory or mapped from disk, and some rows of one."""

from typing import Any, NamedTuple

import numpy as np

from lib.data.distributions import Mixture, Normal


class Rows:
    """`array[rows]`, gathered only where it is indexed, so that a memory map stays on disk.

    It has what pipelines ask of an array: shape, type, length, indexing by rows, and np.asarray.
    """

    def __init__(self, array: np.ndarray, rows: np.ndarray):
        """Keeps an array and the numbers of some of its rows.

        Args:
          array: [N, ...].
          rows: int [n], which rows of it these are.
        """
        self._array, self._rows = array, rows
        self.shape, self.dtype = (len(rows), *array.shape[1:]), array.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Returns the bytes that a copy takes."""
        return self.size * self.dtype.itemsize

    @property
    def array(self) -> np.ndarray:
        """Returns the array of which these are rows."""
        return self._array

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Gathers the rows that an integer, a slice or an array of integers names."""
        return self._array[self._rows[index]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("rows are gathered: they cannot be had without a copy")
        return np.asarray(self[:], dtype)


class Vocabulary(NamedTuple):
    """The words of a set of sentences, which have numbers from 1; 0 is no word.

    Attributes:
      size: how many there are.
      vectors: float32 [size + 1, d] of each number; None where networks learn their own.
      digest: of the words in their order, and of their vectors: a run goes on, and is evaluated, with the
        same alone.
    """

    size: int
    vectors: np.ndarray | None
    digest: str = ""


class Dataset(NamedTuple):
    """One split.

    Attributes:
      image: uint8 [n, h, w, c], points [n, d] of any real type, or words int32 [n, 2, t] of pairs of
        sentences. May be a memory map, or `Rows` of one.
      label: int32 [n].
      num_classes: labels are 0 .. num_classes - 1.
      mixture: what the points are drawn from, where that is known.
      source: what training draws points from without end; `image` is then one sample of it.
      name: for messages.
      vocabulary: of sentences.
    """

    image: np.ndarray | Rows
    label: np.ndarray
    num_classes: int
    mixture: Mixture | None = None
    source: Normal | None = None
    name: str = "the data"
    vocabulary: Vocabulary | None = None

    @property
    def size(self) -> int:
        return len(self.label)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Returns (h, w, c), (d,) of points, or (2, t) of pairs of sentences."""
        return self.image.shape[1:]

    @property
    def words_digest(self) -> str:
        """Returns the digest of the words of sentences; "" where there are none."""
        return self.vocabulary.digest if self.vocabulary else ""

    def take(self, rows: np.ndarray) -> "Dataset":
        """Returns the examples that int rows [n] name, without a copy of their images."""
        return self._replace(image=Rows(self.image, rows), label=self.label[rows])


def unlabelled(image: np.ndarray, name: str, source: Normal | None = None) -> Dataset:
    """Returns a split of points [n, d] that are all of one class."""
    return Dataset(image, np.zeros(len(image), np.int32), 1, source=source, name=name)
