"""What came out of a sweep: results.csv, report.html and tables on the terminal."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments.sweep import columns, frames, report, sweep_folder, threshold
from experiments.sweep.columns import Column
from lib.runtime.files import replacing
from lib.tables import aligned


def show(folder: Path, best: str = "", asked: str = "") -> None:
    """Writes results.csv and report.html into a sweep's folder, and prints its tables.

    Args:
      folder: of the sweep.
      best: a metric: each run's values are those of the step where it was best; by default the last ones.
      asked: METRIC:VALUE: how long each run took to that threshold is among its metrics.

    Raises:
      ConfigError: no sweep is in the folder, or no such metric.
    """
    sweep = threshold.until(sweep_folder.read_sweep(folder), asked)
    runs = frames.per_run(sweep, "best" if best else "last", best)
    with replacing(folder / "results.csv") as temporary:
        runs.to_csv(temporary, index=False)
    report.write(sweep, runs, folder / "report.html")
    print(tables(runs, shutil.get_terminal_size().columns))
    print(f"\nresults  {folder / 'results.csv'} (all {len(runs.columns)} columns)")
    print(f"report   {folder / 'report.html'}")


def tables(runs: pd.DataFrame, width: int) -> str:
    """Returns the tables of runs and of means over seeds, and the failed runs with their last lines.

    Args:
      runs: as `frames.per_run` makes it.
      width: of the terminal; metrics that do not fit are left out.
    """
    statuses, alike = columns.summary(runs)
    parts = [statuses + (f"\nall with {alike}" if alike else "")]
    parts.append(_fitting(columns.run_columns(runs), frames.metrics(runs), width))
    if seeds := columns.statistics_columns(runs):
        parts.append(
            f"mean +- standard deviation over seeds\n{_fitting(seeds, frames.metrics(runs), width)}"
        )
    failed = runs[runs["status"] == "failed"]
    if len(failed):
        errors = [(error.splitlines() or [""])[-1] for error in failed["error"]]
        lines = [f"  {name}: {error}" for name, error in zip(failed["name"], errors, strict=True)]
        parts.append("\n".join(["failed", *lines]))
    return "\n\n".join(parts)


def _fitting(table: Sequence[Column], metrics: Sequence[str], width: int) -> str:
    """Returns a table as text, without the last of its metrics if it is too wide, which it then says."""
    shown = list(table)
    while len(_as_text(shown).split("\n", 1)[0]) > width and shown[-1].name in metrics:
        shown.pop()
    left_out = len(table) - len(shown)
    note = f"\n({left_out} more columns in results.csv and report.html)" if left_out else ""
    return _as_text(shown) + note


def _as_text(table: Sequence[Column]) -> str:
    return aligned(list(zip(*([column.title, *column.texts] for column in table), strict=True)))
