"""What a run writes for people: metrics as JSON lines and TensorBoard events, and the progress bar."""

import contextlib
import fcntl
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tensorboardX
from tqdm import tqdm

from lib.files import replacing

_SECONDS_BETWEEN_LINES = 5.0  # where there is no terminal


class MetricWriter:
    """Appends metrics to `<folder>/<name>.jsonl` and to TensorBoard's events."""

    def __init__(self, folder: Path, name: str, tensorboard: Path, first_step: int = 0):
        """Lines of steps after `first_step`, and a half-written last line, are dropped."""
        self._file = folder / f"{name}.jsonl"
        self._name = name
        self._events = tensorboardX.SummaryWriter(str(tensorboard / name), purge_step=first_step + 1)
        _rewrite(self._file, first_step)

    def write(self, step: int, metrics: Mapping[str, float | str]) -> None:
        """One line with `step` and the metrics; numbers go to TensorBoard as well."""
        append_json_line(self._file, {"step": step, **metrics})
        for name, value in metrics.items():
            if isinstance(value, float | int):
                self._events.add_scalar(f"{self._name}/{name}", value, step)

    def flush(self) -> None:
        """Puts all events on disk; the JSON lines always are."""
        self._events.flush()

    def close(self) -> None:
        self._events.close()


def write_events(folder: Path, name: str, step: int, metrics: Mapping) -> None:
    """Adds the numbers of one record to TensorBoard's events in a folder."""
    suffix = f".{step}.{time.time_ns()}"  # files of one second would have one name
    with tensorboardX.SummaryWriter(str(folder), filename_suffix=suffix) as events:
        for key, value in metrics.items():
            if isinstance(value, float):
                events.add_scalar(f"{name}/{key}", value, step)


def append_json_line(path: Path, record: Mapping) -> None:
    """Appends one record; safe with other processes doing the same."""
    line = json.dumps(record, allow_nan=False) + "\n"
    with _locked(path) as file:
        if file.seek(0, os.SEEK_END) and not _ends_a_line(file):  # a kill cut the last line off
            line = "\n" + line
        file.write(line.encode())


def read_json_lines(path: Path) -> list[dict]:
    """All whole records of a file; none if there is no file."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):  # cut off by a kill
            records.append(json.loads(line))
    return records


def _rewrite(path: Path, last_step: int) -> None:
    """Keeps the whole records up to `last_step`, and all of the evaluator's."""
    if not path.exists():
        return
    with _locked(path):
        kept = [r for r in read_json_lines(path) if r["step"] <= last_step or r.get("by") == "eval"]
        with replacing(path) as temporary:  # readers see all of the old lines, or all of the new
            temporary.write_text("".join(json.dumps(r) + "\n" for r in kept))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """The file that is at `path` once its lock is held: another process may have replaced it."""
    while True:
        with path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield file
                return


def _ends_a_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def first_not_finite(metrics: Iterable[tuple[int, Mapping[str, np.ndarray]]]):
    """(step, names) of the first metrics that are NaN or infinite, or None."""
    for step, values in metrics:
        names = [name for name, value in values.items() if not math.isfinite(value)]
        if names:
            return step, names
    return None


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
