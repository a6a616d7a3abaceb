"""The tables that people read, on a terminal and in the report: of runs, and of means over seeds."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from experiments.sweep import frames
from experiments.sweep.names import shorten, text
from lib.tables import mean_and_spread


class Column(NamedTuple):
    """One column: its whole name, a short one, and of each row the value and how it is written."""

    name: str
    title: str
    values: Sequence
    texts: Sequence[str]


def run_columns(runs: pd.DataFrame, programs: bool = False) -> list[Column]:
    """Returns the fields that vary, status, step and metrics of each run.

    Args:
      programs: whether a column says which runs shared a program, if any did.
    """
    about = ("status", "step", "program") if programs and runs["program"].any() else ("status", "step")
    status_and_step = [_column(name, name, runs[name]) for name in about]
    metrics = [
        Column(name, name, runs[name].tolist(), runs[name].map(_number).tolist())
        for name in frames.metrics(runs)
    ]
    return _fields(runs, runs) + status_and_step + metrics


def statistics_columns(runs: pd.DataFrame) -> list[Column]:
    """Returns means +- standard deviations over the seed of finished runs; [] without seeds or metrics.

    Where a metric has fewer values than the column `seeds` says, their number is in brackets.
    """
    fields, metrics = frames.fields(runs), frames.metrics(runs)
    if frames.SEED not in frames.varying(runs, fields) or not metrics:
        return []
    stats = frames.seed_statistics(runs)
    count = stats.xs("count", axis="columns", level=1).max(axis="columns")
    columns = _fields(runs, stats.index.to_frame(index=False)) + [_column("seeds", "seeds", count)]
    for name in metrics:
        texts = [
            (mean_and_spread(mean, std) + (f" ({n})" if n < most else "")) if n else ""
            for (mean, std, n), most in zip(stats[name].itertuples(index=False), count, strict=True)
        ]
        columns.append(Column(name, name, stats[name]["mean"].tolist(), texts))
    return columns


def summary(runs: pd.DataFrame) -> tuple[str, str]:
    """Returns (how many runs have which status, the fields that all runs set alike)."""
    fields = frames.fields(runs)
    short, varying = shorten(fields), frames.varying(runs, fields)
    statuses = ", ".join(f"{n} {status}" for status, n in Counter(runs["status"]).items())
    alike = ", ".join(f"{short[f]}={text(runs[f].iloc[0])}" for f in fields if f not in varying)
    return f"{len(runs)} runs: {statuses}", alike


def _fields(runs: pd.DataFrame, rows: pd.DataFrame) -> list[Column]:
    """Returns the columns of those fields of `rows` that vary among the runs."""
    fields = frames.fields(runs)
    short = shorten(fields)
    return [_column(f, short[f], rows[f]) for f in frames.varying(runs, fields) if f in rows]


def _column(name: str, title: str, values: pd.Series) -> Column:
    return Column(name, title, values.tolist(), [text(value) for value in values])


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.4g}"
