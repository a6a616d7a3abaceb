"""The processes of one run: usually this one alone, or one for each accelerator or machine.

Every process runs the same program on its share of each batch. The first one alone writes and speaks.
Where there is one process, all of this is the identity or nothing.
"""

import contextlib
import functools
import hashlib
import os
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from lib.errors import ConfigError
from lib.runtime.devices import AXIS, all_devices

_TEXT_BYTES = 2000  # the longest error that one process tells the others


class Address(NamedTuple):
    """Where the processes meet, and which one this is; all None: the launcher tells (Slurm's srun)."""

    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


def count() -> int:
    """Returns how many processes take part in this run."""
    return jax.process_count()


def is_first() -> bool:
    """Tells whether this process is the one that writes and speaks."""
    return jax.process_index() == 0


@contextlib.contextmanager
def joined(address: Address) -> Iterator[None]:
    """Makes this process one of several until the block ends; call it before anything uses a device.

    A ConfigError must be one that all processes raise: see `together`. Any other exception ends this
    process at once, so that the others, which wait for it in the next step, end with an error too.

    Raises:
      ConfigError: there is no address and no launcher that tells one, or it cannot be used, or is in use.
    """
    by_hand = address.coordinator is not None
    if by_hand and address.process_id == 0:
        _check_free(address.coordinator)
    # Orbax asks this service with numbers of its own; lib/runtime/signals.py agrees on a step without it.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(*address, cluster_detection_method="deactivate" if by_hand else None)
    except (ValueError, RuntimeError) as error:
        if isinstance(error, ValueError) and not by_hand:
            raise ConfigError(
                "no launcher tells where the processes meet; start them with Slurm's srun, or "
                "give --coordinator=HOST:PORT --num_processes=N --process_id=I",
                "--distributed",
            ) from error
        reason = str(error).splitlines()[0][:200]
        raise ConfigError(f"cannot join the other processes: {reason}", "--distributed") from error
    _sum(np.zeros(1, np.uint8))  # connects all devices now: later, a slow process would be too late
    try:
        with contextlib.nullcontext() if is_first() else _silence():
            yield
    except ConfigError:
        jax.distributed.shutdown()
        raise
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # an ordinary exit would wait for the others
    jax.distributed.shutdown()


def _check_free(coordinator: str) -> None:
    """Checks that process 0 can listen: where it cannot, JAX would crash."""
    _, _, port = coordinator.rpartition(":")
    with socket.socket() as tried:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):  # as its server does
            tried.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            tried.bind(("", int(port)))
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"cannot listen on port {port} ({error}); use another", "--coordinator"
            ) from error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


@contextlib.contextmanager
def together(kind: type[Exception]) -> Iterator[None]:
    """Makes all processes raise the same `kind` at the block's end if any raises one in the block.

    Nothing else in the block may wait for other processes.
    """
    if count() == 1:
        yield
        return
    error = None
    try:
        yield
    except kind as raised:
        error = raised
    texts = np.zeros((count(), _TEXT_BYTES), np.uint8)
    text = (str(error) or kind.__name__).encode()[:_TEXT_BYTES] if error else b""
    texts[jax.process_index(), : len(text)] = np.frombuffer(text, np.uint8)
    messages = [row.tobytes().rstrip(b"\0").decode(errors="replace") for row in _sum(texts)]
    if error:
        raise error
    for process, text in enumerate(messages):
        if text:
            raise kind(f"process {process}: {text}")


def largest(number: int) -> int:
    """Returns the largest of all processes' numbers, each in 0 .. 255."""
    if count() == 1:
        return number
    numbers = np.zeros(count(), np.uint8)
    numbers[jax.process_index()] = number
    return int(_sum(numbers).max())


def check_same(text: str, message: str, field: str = "") -> None:
    """Checks that all processes give the same `text`.

    Raises:
      ConfigError: on all processes, with this message and field.
    """
    digest = np.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), np.uint8)
    firsts = from_first(digest)
    with together(ConfigError):
        if (firsts != digest).any():
            raise ConfigError(message, field)


def from_first(tree: Any) -> Any:
    """Returns what the first process has, on all of them, bit for bit, as NumPy arrays.

    Args:
      tree: a pytree of arrays; other than on the first process, shapes and types are enough.
    """
    if count() == 1:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    own = [np.asarray(x) if is_first() else np.zeros(x.shape, x.dtype) for x in leaves]
    data = _sum(np.concatenate([_bytes(x) for x in own]))
    ends = np.cumsum([x.nbytes for x in own])
    parts = np.split(data, ends[:-1])
    return structure.unflatten(
        [part.view(x.dtype).reshape(x.shape) for part, x in zip(parts, own, strict=True)]
    )


def gather(rows: jax.Array) -> jax.Array | np.ndarray:
    """Returns [rows, ...] of every process in turn, [processes * rows, ...], on all of them."""
    if count() == 1:
        return rows
    rows = np.asarray(rows)
    whole = np.zeros((count(), *rows.shape), rows.dtype)
    whole[jax.process_index()] = rows
    return _sum(_bytes(whole)).view(rows.dtype).reshape(-1, *rows.shape[1:])


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _sum(data: np.ndarray) -> np.ndarray:
    """Adds up over the processes arrays of bytes, of which at most one is not zero at any place."""
    once = np.arange(jax.local_device_count()) == 0  # of a process's devices, one gives its bytes
    return np.asarray(_total()(data, once.astype(np.uint8)))


@functools.cache
def _total() -> Callable:
    def add(data, once):
        return jax.lax.psum(data * once, AXIS)

    return jax.pmap(add, AXIS, in_axes=(None, 0), out_axes=None, devices=all_devices())
