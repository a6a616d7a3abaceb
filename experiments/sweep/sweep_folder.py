"""What the runs of a sweep have written: sweep.json, and each run's work directory beside it."""

import collections
import dataclasses
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.sweep.names import ABOUT_RUN
from lib.config import Section
from lib.errors import ConfigError
from lib.runtime.json_files import DamagedFile, read_json
from lib.runtime.records import (
    HELD_OUT,
    TRAINING,
    best,
    is_judged,
    read_held_out,
    read_scores,
    read_training,
)
from lib.runtime.run_folder import RunFolder

_SOURCES = {"eval": read_scores, "test": read_held_out, "train": read_training}  # in the order of tables
UNTIL = "until"  # the source of what threshold.py makes of the others
SEARCH = "search"  # the folder of the pictures of a search
_CURVES = (TRAINING, HELD_OUT, "scores")  # pictures that are not of samples


class _WrittenRun(Section):
    """Describes a run of sweep.json."""

    name: str
    overrides: dict[str, Any]


class _Written(Section):
    """Describes what sweep.json holds."""

    config: str
    sweep: str
    runs: list[_WrittenRun]


@dataclass(frozen=True)
class SweepRun:
    """One run.

    `records` are in the order of their steps, each {"step": n, "<source>/<metric>": value}; the source is
    `train`, `test` (the run's own held-out data) or `eval` (the separate evaluator). `program` is the
    number of the program that it shares with other runs, and with how many side by side; "" for its own.
    """

    name: str
    overrides: Mapping[str, object]
    status: str
    error: str
    step: int | None
    program: str
    records: list[dict]
    samples: Path | None  # the newest picture of samples
    facts: Mapping[str, float] = dataclasses.field(default_factory=dict)  # metrics of the whole run

    def last(self) -> dict:
        """Returns {"step": how far the run is, metric: its last value}."""
        return {"step": self.step} | _merged(self.records) | self.facts

    def best(self, metric: str) -> dict:
        """Returns `last` as of the step with the best value of a metric; no metrics if there is none."""
        having = [record for record in self.records if metric in record]
        if not having:
            return {"step": self.step} | self.facts
        at_best = best(having, metric)
        return _merged([r for r in self.records if r["step"] <= at_best["step"]]) | at_best | self.facts


@dataclass(frozen=True)
class Sweep:
    """All runs of a sweep, begun or not."""

    folder: Path
    config: str  # the config file
    sweep: str  # the sweep file
    runs: list[SweepRun]

    @functools.cached_property
    def fields(self) -> list[str]:
        """Lists every field that a run overrides, in the order in which they are first named."""
        return list(dict.fromkeys(field for run in self.runs for field in run.overrides))

    @functools.cached_property
    def metrics(self) -> list[str]:
        """Lists every metric that a run has recorded: the main ones first."""
        main = self.main_metrics
        return main + [name for name in self._recorded if name not in main]

    @functools.cached_property
    def main_metrics(self) -> list[str]:
        """Lists the metrics of which one can say what is better; all, if there is none.

        What the evaluator repeats of the run's own held-out metrics is not among them.
        """
        names = self._recorded
        repeated = [name.replace("test/", "eval/", 1) for name in names if name.startswith("test/")]
        return [name for name in names if is_judged(name) and name not in repeated] or names

    @functools.cached_property
    def _recorded(self) -> list[str]:
        """Lists the names of metrics, by source."""
        names = {n: None for run in self.runs for record in (*run.records, run.facts) for n in record}
        names.pop("step", None)
        return sorted(names, key=lambda name: [UNTIL, *_SOURCES].index(name.split("/")[0]))


def read_sweep(folder: Path) -> Sweep:
    """Reads a sweep's folder.

    Raises:
      ConfigError: there is no sweep.json, or it is damaged.
    """
    path = folder / "sweep.json"
    if not path.exists():
        raise ConfigError(f"no sweep.json in '{folder}': name a folder that ./run.sh sweep has made")
    try:
        written = read_json(path, _Written)
    except DamagedFile as error:
        raise ConfigError(f"{error}; start the sweep again") from error
    config, sweep = written.config, written.sweep
    if any(field in ABOUT_RUN for run in written.runs for field in run.overrides):
        raise ConfigError(f"'{path}' is damaged (no config has such fields); start the sweep again")
    programs = _programs([RunFolder(folder / run.name).machine() for run in written.runs])
    runs = [_read_run(folder, run, program) for run, program in zip(written.runs, programs, strict=True)]
    return Sweep(folder, config, sweep, runs)


def _programs(machines: list[dict[str, str]]) -> list[str]:
    """Returns `SweepRun.program` of each run, from what runs recorded of where they were trained last."""
    names = [machine.get("program") for machine in machines]
    counts = collections.Counter(names)
    numbers: dict[str, int] = {}
    for name in names:
        if name is not None and counts[name] > 1:
            numbers.setdefault(name, len(numbers) + 1)
    texts = []
    for name, machine in zip(names, machines, strict=True):
        lanes = machine.get("lanes", "1")
        texts.append(f"{numbers.get(name, '')}" + (f", {lanes} lanes" if lanes != "1" else ""))
    return texts


def records_of(run_folder: RunFolder) -> list[dict]:
    """Reads what a run has recorded, as `SweepRun.records`."""
    records = [
        _numbers(source, record) for source, read in _SOURCES.items() for record in read(run_folder.metrics)
    ]
    return sorted(records, key=lambda record: record["step"])


def _read_run(folder: Path, run: _WrittenRun, program: str) -> SweepRun:
    """Reads what one run has written; `program` is as of `SweepRun`."""
    run_folder = RunFolder(folder / run.name)
    status = run_folder.status()
    records = records_of(run_folder)
    steps = [record["step"] for record in (status, *records[-1:]) if record]
    pictures = [p for p in run_folder.figures.glob("*.png") if p.stem not in _CURVES and p.is_file()]
    return SweepRun(
        run.name,
        {field: _scalar(value) for field, value in run.overrides.items()},
        status.get("status", "not begun"),
        status.get("error", ""),
        max(steps, default=None),
        program,
        records,
        max(pictures, key=lambda p: (p.stat().st_mtime, p.name), default=None),
    )


def _numbers(source: str, record: Mapping) -> dict:
    """Returns a record's metrics, without the spreads `<metric>_std` of one record's scores."""
    names = _full_names(source, tuple(record))
    metrics = {full: record[name] for name, full in names if isinstance(record[name], float)}
    return {"step": record["step"], **metrics}


@functools.cache
def _full_names(source: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Returns (name, `<source>/<name>`) of those names that are no spreads: one text for all records."""
    spreads = {f"{name}_std" for name in names}
    return [(name, f"{source}/{name}") for name in names if name not in spreads]


def _merged(records: list[dict]) -> dict:
    """Returns the last value of each metric."""
    return {n: v for record in records for n, v in record.items() if n != "step"}


def _scalar(value: object) -> object:
    """Returns the value of a field, as JSON if it is a list or a dict: what tables can group by."""
    return json.dumps(value) if isinstance(value, list | dict) else value
