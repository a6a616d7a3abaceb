"""The processes of one run: usually this one alone, or one for each accelerator or machine.

Every process runs the same program on its share of each batch. The first one alone writes and speaks.
Where there is one process, all of this is the identity or nothing.
"""

import contextlib
import functools
import hashlib
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from lib.errors import ConfigError, explained
from lib.runtime.devices import AXIS, all_devices
from lib.runtime.meeting import end_without, meeting

_LOST = re.compile("gloo|nccl|coordination|connection (reset|closed)", re.IGNORECASE)
_SECONDS_TO_NAME_IT = 2.0  # for the thread that watches the others
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
def joined(address: Address, seconds: float) -> Iterator[None]:
    """Makes this process one of several until the block ends; call it before anything uses a device.

    A ConfigError must be one that all processes raise: see `together`. Any other exception ends this
    process at once, and with it the others, which would wait for it in the next step.

    Args:
      address: where they meet.
      seconds: how long to wait for the others.

    Raises:
      ConfigError: there is no address and no launcher that tells one, it cannot be used or is in use, or
        another process does not come.
    """
    with meeting(*address, seconds) if address.coordinator else contextlib.nullcontext():
        _initialize(address, seconds)
        try:
            with contextlib.nullcontext() if is_first() else _silence():
                yield
        except ConfigError:
            jax.distributed.shutdown()
            raise
        except BaseException as error:
            _end(error)
        jax.distributed.shutdown()


def _initialize(address: Address, seconds: float) -> None:
    """Starts JAX's service and connects all devices.

    Raises:
      ConfigError: there is no launcher that tells where the processes meet, or they cannot be joined.
    """
    by_hand = address.coordinator is not None
    # Orbax asks this service with numbers of its own; lib/runtime/signals.py agrees on a step without it.
    jax.config.update("jax_enable_preemption_service", False)
    too_late = threading.Timer(seconds, end_without, ["another process"])  # JAX would abort, minutes later
    too_late.daemon = True
    too_late.start()
    try:
        jax.distributed.initialize(*address, cluster_detection_method="deactivate" if by_hand else None)
        _sum(np.zeros(1, np.uint8))  # connects all devices now: later, a slow process would be too late
    except (ValueError, RuntimeError) as error:
        if isinstance(error, ValueError) and not by_hand:
            raise ConfigError(
                "no launcher tells where the processes meet; start them with Slurm's srun, or "
                "give --coordinator=HOST:PORT --num_processes=N --process_id=I",
                "--distributed",
            ) from error
        reason = str(error).splitlines()[0][:200]
        raise ConfigError(f"cannot join the other processes: {reason}", "--distributed") from error
    finally:
        too_late.cancel()


def _end(error: BaseException) -> None:
    """Ends this process at once, with a line where that says it all: an ordinary exit would wait."""
    if isinstance(error, jax.errors.JaxRuntimeError) and _LOST.search(str(error)):
        time.sleep(_SECONDS_TO_NAME_IT)
        end_without("another process")
    line = explained(error)
    print(f"error: {line}", file=sys.stderr) if line else traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)


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
