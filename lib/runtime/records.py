"""Metric records of a run: JSON lines for programs, TensorBoard events for people.

    metrics/train.jsonl   what training measured
    metrics/epochs.jsonl  the same, means over the steps of each epoch (config.epoch_means)
    metrics/eval.jsonl    what the run measured on held-out data and, marked as such, the evaluator's scores

A record is a dict with `step`. Who wrote it, and which of two values is better, is known here alone.
"""

import contextlib
import fcntl
import functools
import json
import math
import mmap
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lib.runtime.events import Events
from lib.runtime.files import naming, open_file, replacing

TRAINING, EPOCHS, HELD_OUT = "train", "epochs", "eval"  # names of the files
_LONG_LINE = 1000  # bytes
_BY, _EVALUATOR = "by", "eval"  # the mark of the evaluator's records
_LOWER_IS_BETTER = ("frechet", "FID", "kernel", "KID", "loss", "error", "until/steps", "until/seconds")
_HIGHER_IS_BETTER = (
    *("score", "IS", "precision", "recall", "density", "coverage"),
    *("accuracy", "captured_modes", "high_quality"),
)


class MetricWriter:
    """Appends metrics to `<folder>/<name>.jsonl` and to TensorBoard's events."""

    def __init__(self, folder: Path, name: str, tensorboard: Path, first_step: int = 0):
        """Drops lines of steps after `first_step`, 0 for all, and a half-written last line."""
        self._file = _file(folder, name)
        self._name = name
        _drop_after(self._file, first_step or -1)
        self._events = Events(tensorboard / name, first_step + 1 if first_step else 0)

    @property
    def is_empty(self) -> bool:
        """Tells whether there is no line yet."""
        return not (self._file.exists() and self._file.stat().st_size)

    def write(self, step: int, metrics: Mapping[str, float | str]) -> None:
        """Appends one line with `step` and the metrics; numbers go to TensorBoard as well."""
        _append(self._file, {"step": step, **metrics})
        for name, value in metrics.items():
            if isinstance(value, float | int):
                self._events.scalar(f"{self._name}/{name}", value, step)

    def flush(self) -> None:
        """Puts all events on disk; the JSON lines always are."""
        self._events.flush()

    def close(self) -> None:
        self._events.close()


def read_training(folder: Path, about: int = 0) -> list[dict]:
    """Returns what training has recorded in a run's folder of metrics.

    Args:
      folder: of the metrics.
      about: of many records, read only so many, evenly spread: enough for a curve. 0: all.
    """
    return _read(_file(folder, TRAINING), about)


def read_epochs(folder: Path) -> list[dict]:
    """Returns what training has recorded at the ends of epochs: `step`, `epoch` from 1 on, and means."""
    return _read(_file(folder, EPOCHS))


def read_held_out(folder: Path, about: int = 0) -> list[dict]:
    """Returns what the run has recorded of its own metrics on held-out data; see `read_training`."""
    return [record for record in _read(_file(folder, HELD_OUT), about) if not _is_score(record)]


def read_scores(folder: Path) -> list[dict]:
    """Returns what the evaluator has recorded."""
    return [record for record in _read(_file(folder, HELD_OUT)) if _is_score(record)]


def append_picture(tensorboard: Path, path: Path, step: int) -> None:
    """Appends a picture, a PNG, to TensorBoard's events, under its file's name without the step.

    Readers drop those of this and later steps that are there from before.
    """
    name = re.sub(r"_[0-9]+$", "", path.stem)
    events = Events(tensorboard / "pictures", step)
    events.picture(f"pictures/{name}", path.read_bytes(), step)
    events.close()


def append_score(folder: Path, tensorboard: Path, record: Mapping) -> None:
    """Appends a record of the evaluator, safe beside training, and its numbers to TensorBoard's events."""
    _append(_file(folder, HELD_OUT), {"step": record["step"], _BY: _EVALUATOR, **record})
    events = Events(tensorboard / "scores")
    for name, value in record.items():
        if isinstance(value, float):
            events.scalar(f"scores/{name}", value, record["step"])
    events.close()


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.jsonl"


def _is_score(record: Mapping) -> bool:
    return record.get(_BY) == _EVALUATOR


def _append(path: Path, record: Mapping) -> None:
    """Appends one record; safe with other processes doing the same."""
    line = json.dumps(record, allow_nan=False) + "\n"
    with _locked(path) as file:
        if file.seek(0, os.SEEK_END) and not _ends_a_line(file):  # a kill cut the last line off
            line = "\n" + line
        file.write(line.encode())


def _read(path: Path, about: int = 0) -> list[dict]:
    """Returns the sound records of a file, none if there is none; says once how many lines are damaged."""
    if not path.is_file():
        if path.exists():
            print(f"note: '{path}' is no file: it is left out")
        return []
    with _mapped(path) as data:
        if about and len(data) > about * _LONG_LINE:
            lines = _spread_lines(data, about)
        else:
            lines = data[:].split(b"\n")
    read = [_record(line) for line in lines]
    # The last one may have been cut off by a kill, or is not written to its end yet.
    if damaged := sum(r is None and line != b"" for r, line in zip(read[:-1], lines[:-1], strict=True)):
        _note_damage(path, damaged)
    return [record for record in read if record is not None]


def _spread_lines(data: bytes | mmap.mmap, n: int) -> list[bytes]:
    """Returns about n lines of a file, the first and the last among them; b"" after a last newline."""
    places = np.linspace(0, len(data) - 1, n, dtype=np.int64)
    starts = dict.fromkeys(data.rfind(b"\n", 0, place) + 1 for place in places)
    ends = [data.find(b"\n", start) for start in starts]
    lines = [data[a : b if b >= 0 else None] for a, b in zip(starts, ends, strict=True)]
    return [*lines, b""] if ends[-1] >= 0 else lines


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[bytes | mmap.mmap]:
    """Yields the bytes of a file, read where they are used."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data


def _record(line: bytes) -> dict | None:
    """Returns the record of a line; None where it is not a JSON object of a step and of metrics."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # also of bytes that are not UTF-8
        return None
    if not isinstance(record, dict):
        return None
    is_sound = _is_of_a_score if _is_score(record) else _is_number
    step = record.get("step")
    sound = type(step) is int and step >= 0 and all(map(is_sound, record.values()))
    return record if sound else None


def _is_number(value: Any) -> bool:
    """Tells whether a value is what training records: a number that NumPy can hold."""
    return type(value) is float or (type(value) is int and abs(value) < 2**63)


def _is_of_a_score(value: Any) -> bool:
    """Tells whether a value is what the evaluator records: a number, text, or counts of classes."""
    if isinstance(value, list):
        return all(map(_is_number, value))
    return value is None or isinstance(value, str) or _is_number(value)


@functools.cache
def _note_damage(path: Path, lines: int) -> None:
    """Prints, once, that lines of a file are left out."""
    print(f"note: {lines} damaged {'line' if lines == 1 else 'lines'} of '{path}' left out")


def _drop_after(path: Path, last_step: int) -> None:
    """Drops records of steps after `last_step`, but none of the evaluator's, and what is damaged there.

    Training's records are in the order of their steps, so only the file's end is read.
    """
    if not path.exists():
        return
    with _locked(path), _mapped(path) as data:
        begin = len(data) + 1
        records: list[dict | None] = []  # of the last line, the one before it, ..
        while begin and not (records and _is_before(records[-1], last_step)):
            end, begin = begin - 1, data.rfind(b"\n", 0, begin - 1) + 1
            records.append(_record(data[begin:end]) if begin < end else None)
        tail = data[begin:]
        sound = [record for record in reversed(records) if record is not None]
        if damaged := sum(map(bool, tail.split(b"\n")[:-1])) - sum(r is not None for r in records[1:]):
            _note_damage(path, damaged)
        kept = [json.dumps(r).encode() + b"\n" for r in sound if r["step"] <= last_step or _is_score(r)]
        if tail != b"".join(kept):
            with replacing(path) as temporary, temporary.open("wb") as file:
                file.write(data[:begin])  # readers see all of the old lines, or all of the new
                file.writelines(kept)


def _is_before(record: dict | None, last_step: int) -> bool:
    """Tells whether a record is training's, of a step up to `last_step`: then all before it are."""
    return record is not None and not _is_score(record) and record["step"] <= last_step


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Yields the file that is at `path` once its lock is held: another process may have replaced it."""
    while True:
        with naming(path), open_file(path, "ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield file
                return


def _ends_a_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def first_not_finite(metrics: Iterable[tuple[int, Mapping[str, np.ndarray]]]):
    """Finds (step, names) of the first metrics that are NaN or infinite; None if all are finite."""
    for step, values in metrics:
        names = [name for name, value in values.items() if not math.isfinite(value)]
        if names:
            return step, names
    return None


def lower_is_better(name: str) -> bool:
    """Tells whether the smaller of two values of a metric is the better one; else the larger is."""
    return name.endswith(_LOWER_IS_BETTER)


def is_judged(name: str) -> bool:
    """Tells whether the name of a metric says which of two values is the better one."""
    return name.endswith(_LOWER_IS_BETTER + _HIGHER_IS_BETTER)


def best(records: Sequence[Mapping], name: str) -> Mapping:
    """Returns the record with the best value of a metric, the first of equal ones.

    A minus before the name says that the smaller value is the better one.
    """
    metric = name.removeprefix("-")
    lower = name.startswith("-") or lower_is_better(metric)
    return (min if lower else max)(records, key=lambda record: record[metric])
