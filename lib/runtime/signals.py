"""Signals that ask training to stop: the step ends and is saved."""

import contextlib
import signal
from collections.abc import Callable, Iterator

from lib.runtime import processes


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], int | None]]:
    """Yields `asked()`: the signal that asks training to stop now, or None; a second Ctrl-C kills.

    SIGTERM and Ctrl-C are caught. SIGTERM may come more than once: a cluster sends it to every process of a
    job, and the job passes it on. All processes of a run must ask equally often, for instance after every
    call of the devices; they get the same answer, whichever of them is signalled.
    """
    caught: list[int] = []
    before = {}

    def note(number, frame):
        del frame
        caught.append(number)
        if number == signal.SIGINT:
            signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, note)
    try:
        yield lambda: processes.largest(caught[0] if caught else 0) or None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
