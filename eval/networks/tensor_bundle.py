"""The variables of a SavedModel: TensorFlow's tensor bundle, read without TensorFlow.

`variables.index` is a table of LevelDB's format, uncompressed, of (key, BundleEntry) pairs;
`variables.data-*-of-*` hold the bytes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from eval.networks.saved_model_messages import MESSAGES

_FOOTER, _MAGIC = 48, 0xDB4775248B80FB57
_TRAILER = 5  # bytes behind a block: the kind of compression, and a checksum
_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
# TensorFlow's numbers of types.
TYPES = {1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 9: np.int64, 10: np.bool_, 19: np.float16}


class TensorBundle:
    """The tensors of a folder's `variables.index` by key."""

    def __init__(self, folder: Path):
        """Reads the index.

        Raises:
          ValueError: it is damaged, or compressed.
        """
        self._folder = folder
        self._entries = {key: MESSAGES["BundleEntry"].FromString(x) for key, x in _table(folder)}
        self._shards = len(list(folder.glob("variables.data-*")))

    def __getitem__(self, key: str) -> np.ndarray:
        """Returns a tensor of numbers."""
        entry = self._entries[key]
        return tensor_from_bytes(entry.dtype, entry.shape, self._bytes(entry))

    def object_keys(self) -> dict[int, str]:
        """Returns {number of an object in the object graph: key of its tensor}, of those that have one."""
        if _OBJECTS not in self._entries:
            return {}
        data = self._bytes(self._entries[_OBJECTS])
        length, start = _varint(data, 0)  # of the only string, before a checksum of the lengths
        graph = MESSAGES["CheckpointGraph"].FromString(data[start + 4 : start + 4 + length])
        return {i: n.attributes[0].checkpoint_key for i, n in enumerate(graph.nodes) if n.attributes}

    def _bytes(self, entry: Any) -> bytes:
        name = f"variables.data-{entry.shard_id:05}-of-{self._shards:05}"
        with (self._folder / name).open("rb") as file:
            file.seek(entry.offset)
            data = file.read(entry.size)
        if len(data) != entry.size:
            raise ValueError(f"{name} is cut off")
        return data


def tensor_from_bytes(kind: int, shape: Any, data: bytes) -> np.ndarray:
    """Returns a tensor from its type's number, its shape as a message, and its bytes.

    Raises:
      ValueError: of another type than numbers, or of another size.
    """
    if kind not in TYPES:
        raise ValueError(f"a tensor of type number {kind}")
    return np.frombuffer(data, TYPES[kind]).reshape([dim.size for dim in shape.dim])


def _table(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yields the (key, value) pairs of a bundle's index."""
    data = (folder / "variables.index").read_bytes()
    footer = data[-_FOOTER:]
    if int.from_bytes(footer[-8:], "little") != _MAGIC:
        raise ValueError("variables.index is no table")
    _, i = _varint(footer, 0)
    _, i = _varint(footer, i)  # the first two numbers name a block of statistics
    for _, handle in _block(data, *_two_varints(footer, i)):
        yield from ((key.decode(), value) for key, value in _block(data, *_two_varints(handle, 0)))


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yields the pairs of a block, whose keys leave out what they share with the one before."""
    block = data[offset : offset + size]
    if len(block) != size or size < 4 or data[offset + size : offset + size + _TRAILER][:1] != b"\0":
        raise ValueError("variables.index is cut off or compressed")
    restarts = int.from_bytes(block[-4:], "little")
    i, end, key = 0, size - 4 * (restarts + 1), b""
    while i < end:
        shared, i = _varint(block, i)
        rest, i = _varint(block, i)
        length, i = _varint(block, i)
        key = key[:shared] + block[i : i + rest]
        yield key, block[i + rest : i + rest + length]
        i += rest + length


def _two_varints(data: bytes, i: int) -> tuple[int, int]:
    first, i = _varint(data, i)
    return first, _varint(data, i)[0]


def _varint(data: bytes, i: int) -> tuple[int, int]:
    """Reads a number of 7 bits a byte; returns it and the place behind it."""
    value = shift = 0
    while True:
        byte = data[i]
        value, shift, i = value | (byte & 127) << shift, shift + 7, i + 1
        if byte < 128:
            return value, i
