"""When something is due: at multiples of an interval, at log-spaced steps, and by the clock."""

import functools
import math
import time
from collections.abc import Callable, Mapping

from lib.schema import Run


class Intervals:
    """The steps of a run at which it logs, evaluates, draws and saves. Counted in steps done."""

    def __init__(self, config: Run):
        self._config = config

    @property
    def every(self) -> list[int]:
        """Returns numbers of steps after which something is due again and again."""
        config = self._config
        every = (config.log_every, config.eval_every, config.figures_every, config.checkpoint_every)
        return [n for n in every if n]

    def is_due(self, every: int, done: int) -> bool:
        """Tells whether what is due every so many steps, 0 for never, is due after `done` steps."""
        return bool(every) and (done % every == 0 or done == self._config.num_steps)

    def logs(self, done: int) -> bool:
        """Tells whether a line of metrics is due."""
        return self.is_due(self._config.log_every, done) or done in self._log_spaced

    def must_act(self, done: int) -> bool:
        """Tells whether anything is due."""
        at_multiple = any(done % every == 0 for every in self.every)
        return at_multiple or done == self._config.num_steps or done in self._log_spaced

    def steps_of_call(self, step: int, most: int) -> int:
        """Returns how many steps the call of the device that begins at `step` makes: `most`, or 1.

        Calls of several steps begin at their multiples, so that a resumed run makes the same ones, and none
        runs over a step at which something is due. `most` divides all intervals.
        """
        inside = any(done in self._log_spaced for done in range(step + 1, step + most))
        whole = step % most == 0 and step + most <= self._config.num_steps and not inside
        return most if whole else 1

    @functools.cached_property
    def _log_spaced(self) -> frozenset[int]:
        """Returns the steps round(10^(i / n)), n of them for every tenfold of steps."""
        n, last = self._config.log_per_decade, self._config.num_steps
        return (
            frozenset(round(10 ** (i / n)) for i in range(int(n * math.log10(last)) + 1))
            if n
            else frozenset()
        )


class Timer:
    """What is late by the clock: so many seconds after it last happened."""

    def __init__(self, seconds: Mapping[str, float], clock: Callable[[], float] = time.monotonic):
        """Begins to count.

        Args:
          seconds: {what: after how many it is late}; 0: never.
        """
        self._seconds, self._clock = seconds, clock
        self._last = dict.fromkeys(seconds, clock())

    def late(self) -> frozenset[str]:
        """Returns what is late."""
        now = self._clock()
        return frozenset(x for x, s in self._seconds.items() if s and now - self._last[x] >= s)

    def restart(self, what: str) -> None:
        """Counts anew from now on: it has happened."""
        self._last[what] = self._clock()


def largest_divisor(numbers: list[int], limit: int) -> int:
    """Returns the largest number up to `limit` that divides all of `numbers`."""
    common = math.gcd(*numbers)
    return max(k for k in range(1, min(limit, common) + 1) if common % k == 0)
