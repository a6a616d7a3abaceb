"""Signals that ask training to stop: the step ends and is saved."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils

StopRequests = Callable[[int], int | None]


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequests]:
    """Yields `asked(call)`: the signal that asks training to stop now, or None.

    To be asked after every call of the devices, numbered 1, 2, ... All processes of a run get an answer
    at the same call, whichever of them is signalled.
    """
    if jax.distributed.is_initialized():
        # JAX catches SIGTERM itself then, and agrees on the call in the background.
        with _caught(signal.SIGINT, then=lambda: os.kill(os.getpid(), signal.SIGTERM)) as caught:

            def agreed(call: int) -> int | None:
                if not multihost_utils.reached_preemption_sync_point(call):
                    return None
                return caught[0] if caught else signal.SIGTERM

            yield agreed
    else:
        with _caught(signal.SIGINT, signal.SIGTERM) as caught:
            yield lambda call: caught[0] if caught else None


@contextlib.contextmanager
def _caught(*numbers: int, then: Callable[[], None] = lambda: None) -> Iterator[list[int]]:
    """Collects the first signal of each kind, and calls `then`; a second one acts as before."""
    caught: list[int] = []
    before = {}

    def note(number, frame):
        del frame
        caught.append(number)
        signal.signal(number, before[number])
        then()

    for number in numbers:
        before[number] = signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
