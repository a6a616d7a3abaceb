"""Signals that ask training to stop: the step ends and is saved."""

import contextlib
import signal
from collections.abc import Callable, Iterator

from lib import processes


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], int | None]]:
    """Yields `asked()`: the signal that asks training to stop now, or None; a second one kills.

    SIGTERM and Ctrl-C are caught. All processes of a run must ask equally often, for instance after every
    call of the devices; they get the same answer, whichever of them is signalled.
    """
    caught: list[int] = []
    before = {}

    def note(number, frame):
        del frame
        caught.append(number)
        signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, note)
    try:
        yield lambda: processes.largest(caught[0] if caught else 0) or None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
