"""Runs of a sweep as tables: one row per run, per record, or per setting with its spread over seeds."""

from pathlib import Path

import pandas as pd

from experiments.sweep import sweep_folder
from experiments.sweep.names import resolve
from experiments.sweep.sweep_folder import Sweep
from lib.errors import ConfigError

SEED = "seed"


def gather(folder: Path, select: str = "last", metric: str | None = None) -> pd.DataFrame:
    """Returns one row per run: name, each field, status, step, program, error, and the run's metrics.

    Args:
      folder: of the sweep.
      select: "last" takes each metric's last value; "best" those of the step where `metric` was best.
      metric: for "best"; a suffix will do.

    Returns:
      Columns of metrics are called `eval/...`, `test/...` and `train/...`, see `SweepRun`. `step` is how
      far the run is, or the best step. What a run does not have is missing (NaN).

    Raises:
      ConfigError: no sweep is in the folder, or "best" without a known metric.
    """
    return per_run(sweep_folder.read_sweep(folder), select, metric)


def per_run(sweep: Sweep, select: str = "last", metric: str | None = None) -> pd.DataFrame:
    """Returns `gather` of a sweep that has been read."""
    if select not in ("last", "best"):
        raise ConfigError(f"'{select}' is neither last nor best", "--select")
    if select == "best":
        metric = resolve(metric or "", sweep.metrics, "--best")
    rows = [
        {"name": run.name, "status": run.status, "program": run.program, "error": run.error}
        | run.overrides
        | (run.best(metric) if select == "best" else run.last())
        for run in sweep.runs
    ]
    about = ["status", "step", "program", "error"]
    frame = pd.DataFrame(rows, columns=["name", *sweep.fields, *about, *sweep.metrics])
    return frame.astype({"step": "Int64"} | dict.fromkeys(sweep.metrics, float))


def overrides(sweep: Sweep) -> pd.DataFrame:
    """Returns one row per run: the overridden fields alone."""
    return pd.DataFrame([run.overrides for run in sweep.runs], columns=sweep.fields)


def per_record(sweep: Sweep, metric: str) -> pd.DataFrame:
    """Returns one row per run and step that has a value of `metric`: the fields, `step` and the metric."""
    rows = []
    for run in sweep.runs:
        by_step = {record["step"]: record[metric] for record in run.records if metric in record}
        rows += [{**run.overrides, "step": step, metric: value} for step, value in by_step.items()]
    return pd.DataFrame(rows, columns=[*sweep.fields, "step", metric])


def fields(frame: pd.DataFrame) -> list[str]:
    """Lists the overridden fields of a table of runs: the columns between `name` and `status`."""
    return list(frame.columns[1 : frame.columns.get_loc("status")])


def metrics(frame: pd.DataFrame) -> list[str]:
    """Lists the metrics of a table of runs: the columns behind `error`."""
    return list(frame.columns[frame.columns.get_loc("error") + 1 :])


def varying(frame: pd.DataFrame, among: list[str]) -> list[str]:
    """Lists the fields that do not have one value in all rows."""
    return [field for field in among if frame[field].nunique(dropna=False) > 1]


def only_finished(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns a table of runs without the metrics of unfinished runs: theirs are of where they are."""
    sound = frame["status"] == "finished"
    return frame.assign(**{name: frame[name].where(sound) for name in metrics(frame)})


def statistics(frame: pd.DataFrame, by: list[str], values: str | list[str]) -> pd.DataFrame:
    """Returns mean, standard deviation (n - 1; missing for one) and count of columns, grouped by `by`."""
    keys = by or [pd.Series(0, frame.index)]  # one group of all
    return frame.groupby(keys, dropna=False, sort=False)[values].agg(["mean", "std", "count"])


def seed_statistics(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns `statistics` of all metrics of a table of runs over the seed; only finished runs count.

    Returns:
      Index: the other fields. Columns: (metric, "mean" | "std" | "count").
    """
    return statistics(only_finished(frame), [f for f in fields(frame) if f != SEED], metrics(frame))
