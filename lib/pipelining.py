"""Streams of work that a device does, a little ahead of what the host does with it."""

import collections
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T], n: int = 1) -> Iterator[T]:
    """Yields the same items, each after n more of them were asked for.

    JAX does not wait for what it computes: so the device works on the next items while the host uses one.
    """
    waiting: collections.deque[T] = collections.deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > n:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()
