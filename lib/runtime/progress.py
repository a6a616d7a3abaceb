"""The progress bar of long work."""

import math
import sys
import time
from collections.abc import Mapping

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 5.0  # where there is no terminal


class Progress:
    """A bar on a terminal; elsewhere a plain line every few seconds."""

    def __init__(
        self, total: int, initial: int = 0, unit: str = "step", label: str = "", quiet: bool = False
    ):
        self._terminal, self._quiet = sys.stderr.isatty(), quiet
        self._bar = tqdm(
            total=total,
            initial=initial,
            unit=unit,
            desc=label or None,
            disable=quiet or not self._terminal,
            dynamic_ncols=True,
            mininterval=0.2,
        )
        self._label = f"{label} " if label else ""
        self._total, self._done, self._unit = total, initial, unit
        self._begun = self._last_line = time.monotonic()
        self._initial = initial

    def advance(self, n: int) -> None:
        self._done += n
        self._bar.update(n)

    def show(self, metrics: Mapping[str, float]) -> None:
        """Shows the main metrics."""
        text = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        if self._quiet:
            return
        if self._terminal:
            self._bar.set_postfix_str(text, refresh=False)
            return
        now = time.monotonic()
        if now - self._last_line < _SECONDS_BETWEEN_LINES and self._done < self._total:
            return
        self._last_line = now
        rate = (self._done - self._initial) / max(now - self._begun, 1e-9)
        left = (self._total - self._done) / rate if rate else math.nan
        line = f"{self._label}{self._unit} {self._done:,}/{self._total:,}"
        print(f"{line}  {rate:.4g} {self._unit}s/s  {left:.0f} s left  {text}", flush=True)

    def print(self, line: str) -> None:
        """Prints a line without tearing the bar."""
        tqdm.write(line, file=sys.stdout) if self._terminal else print(line, flush=True)

    def close(self) -> None:
        self._bar.close()
