"""Pictures of a sweep: a metric against a field or against the step, and heat maps over two fields."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.sweep import frames
from experiments.sweep.names import resolve, shorten, text
from experiments.sweep.sweep_folder import Sweep, read_sweep
from experiments.sweep.threshold import until
from lib.errors import ConfigError
from lib.pictures.colours import COLOURS

STEP = "step"
_SPREAD = "mean and standard deviation"
_MARKERS = "osD^vP*X"
_MARKED = 12  # markers on a learning curve, about
_TICKS = 10  # as many values have a tick each
_DODGE = 0.5  # of the space of one category, over which its colours are spread


def draw(folder: Path, x: str, y: str, hue: str = "", select: str = "last", asked: str = "") -> Figure:
    """Draws the picture that names of fields and metrics ask for; suffixes will do.

    Curves of the metric `y` against the field `x` or "step", one colour per value of the field `hue`; or,
    if `y` is a field, a heat map of the metric `hue` over both fields. `asked` is METRIC:VALUE, and adds
    how long runs took to this threshold as the metrics `until/steps` and `until/seconds`.

    Raises:
      ConfigError: unknown or ambiguous names, or names that make no picture together.
    """
    sweep = read_sweep(folder)
    if not sweep.metrics:
        raise ConfigError(f"no run in '{folder}' has metrics yet")
    sweep = until(sweep, asked)
    y = resolve(y, [*sweep.metrics, *sweep.fields], "--y")
    x = resolve(x, [*sweep.fields, STEP], "--x")
    is_map = y in sweep.fields
    if is_map and not hue:
        raise ConfigError(f"name the metric that a heat map over {x} and {y} shows", "--hue")
    hue = resolve(hue, sweep.metrics if is_map else sweep.fields, "--hue") if hue else None
    if x in (y, hue):
        raise ConfigError(f"{x} is {'--y' if x == y else '--hue'} as well; name two fields", "--x")
    if x == STEP and (is_map or select == "best"):
        raise ConfigError("learning curves against the step show every record of a metric", "--x")
    if x == STEP:
        return learning_curves(sweep, y, hue)
    metric = hue if is_map else y
    runs = frames.only_finished(frames.per_run(sweep, select, metric))
    if runs[metric].isna().all():
        raise ConfigError(f"no run that has not failed has {metric}")
    label = f"best {metric}" if select == "best" else metric
    return heat_map(runs, x, y, metric, label) if is_map else curves(runs, x, y, hue, label)


def curves(runs: pd.DataFrame, x: str, y: str, hue: str | None, label: str) -> Figure:
    """Draws means of the metric `y`, with standard deviations as bars, at each value of the field `x`."""
    figure, axis = _axes()
    values = _ordered(runs[x])
    numeric = _is_numeric(runs[x])
    place = {_label(v): v if numeric else i for i, v in enumerate(values)}
    groups = list(_groups(runs, hue, _ordered(runs[hue]) if hue else []))
    for i, (name, colour, marker, group) in enumerate(groups):
        stats = frames.statistics(group, [x], y).dropna(subset="mean")
        at = np.array([place[_label(v)] for v in stats.index], float)
        if not numeric:
            at += _DODGE * ((i + 0.5) / len(groups) - 0.5)
        order = at.argsort()
        axis.errorbar(
            *(at[order], stats["mean"].to_numpy()[order], stats["std"].fillna(0).to_numpy()[order]),
            label=name,
            color=colour,
            marker=marker,
            linestyle="-" if numeric else "none",
            capsize=3,
            lw=1.2,
            ms=5,
        )
    if numeric and _is_log_spaced(values):
        axis.set_xscale("log")
    if len(place) <= _TICKS or not numeric:
        axis.set_xticks(list(place.values()), list(place))
        axis.minorticks_off()
    if not numeric:
        axis.set_xlim(-0.5, len(place) - 0.5)
    axis.set(xlabel=x, ylabel=label)
    _legend(figure, hue)
    _say_over(axis, _SPREAD, runs, frames.fields(runs), [hue, x] if hue else [x])
    return figure


def learning_curves(sweep: Sweep, y: str, hue: str | None) -> Figure:
    """Draws means of the metric `y` at each recorded step, in a band of one standard deviation each way.

    Failed runs count up to where they broke.
    """
    figure, axis = _axes()
    history = frames.per_record(sweep, y)
    values = _ordered(frames.overrides(sweep)[hue]) if hue else []
    for name, colour, marker, group in _groups(history, hue, values):
        stats = frames.statistics(group, [STEP], y).sort_index()
        every = max(1, len(stats) // _MARKED)
        axis.plot(stats["mean"], label=name, color=colour, lw=1.2, marker=marker, ms=4, markevery=every)
        if len(stats) == 1:  # a band would have no width
            axis.errorbar(stats.index, stats["mean"], stats["std"].fillna(0), color=colour, capsize=3)
        low, high = stats["mean"] - stats["std"], stats["mean"] + stats["std"]
        axis.fill_between(stats.index, low, high, color=colour, alpha=0.18, lw=0)
    axis.set(xlabel=STEP, ylabel=y)
    _legend(figure, hue)
    _say_over(axis, _SPREAD, history, sweep.fields, [hue, STEP] if hue else [STEP])
    return figure


def heat_map(runs: pd.DataFrame, x: str, y: str, metric: str, label: str) -> Figure:
    """Draws means of a metric over two fields, as colours and numbers; a cell without runs has a dash."""
    rows, columns = ([_label(v) for v in _ordered(runs[name])] for name in (y, x))
    cells = runs.assign(**{name: runs[name].map(_label) for name in (x, y)})
    means = frames.statistics(cells, [y, x], metric)["mean"].unstack(x).reindex(index=rows, columns=columns)
    size = (2.6 + 0.8 * len(columns), 1.6 + 0.5 * len(rows))
    figure, axis = _axes((max(size[0], 4.2), max(size[1], 3.0)))
    axis.set_facecolor("#e8e8e8")
    mesh = axis.pcolormesh(np.ma.masked_invalid(means.to_numpy()), cmap="viridis", edgecolor="white", lw=1)
    for (i, j), value in np.ndenumerate(means.to_numpy()):
        dark = np.isfinite(value) and np.dot(mesh.cmap(mesh.norm(value))[:3], (0.3, 0.59, 0.11)) < 0.5
        number = f"{value:.3g}" if np.isfinite(value) else "–"
        axis.text(j + 0.5, i + 0.5, number, ha="center", va="center", color="white" if dark else "black")
    figure.colorbar(mesh, label=label)
    axis.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axis.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set(xlabel=x, ylabel=y)
    _say_over(axis, "mean", runs, frames.fields(runs), [x, y])
    return figure


def _axes(size: tuple[float, float] = (5.6, 3.6)) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    axis = figure.subplots()
    axis.spines[["top", "right"]].set_visible(False)
    return figure, axis


def _groups(
    frame: pd.DataFrame, hue: str | None, values: list
) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    """Yields (label, colour, marker, rows) of each value of a field that has rows; of all without a field.

    The style is that of the value's place in `values`: the same in every picture of a sweep.
    """
    styles = zip(itertools.cycle(COLOURS), itertools.cycle(_MARKERS), strict=False)
    if hue is None:
        yield "", *next(styles), frame
        return
    labels = frame[hue].map(_label)
    for value, style in zip(values, styles, strict=False):
        rows = frame[labels == _label(value)]
        if len(rows):
            yield _label(value), *style, rows


def _legend(figure: Figure, hue: str | None) -> None:
    if hue:
        figure.legend(loc="outside right upper", title=hue.rsplit(".", 1)[-1], frameon=False)


def _say_over(axis: Axes, what: str, rows: pd.DataFrame, fields: list[str], by: list[str]) -> None:
    """Writes above the axes which fields differ among the rows of one mean."""
    groups = rows.groupby(by, dropna=False)
    over = [f for f in fields if f not in by and (groups[f].nunique(dropna=False) > 1).any()]
    if over:
        axis.set_title(f"{what} over {', '.join(shorten(over).values())}", fontsize="small", loc="left")


def _ordered(column: pd.Series) -> list:
    """Lists the distinct values: numbers by size, others as they first appear."""
    values = list(column.unique())
    return sorted(values) if _is_numeric(column) else values


def _is_numeric(column: pd.Series) -> bool:
    """Tells whether all values are numbers, which an axis can place."""
    kind = pd.api.types
    return kind.is_numeric_dtype(column) and not kind.is_bool_dtype(column) and column.notna().all()


def _label(value: object) -> str:
    return text(value).replace("$", r"\$") or "not set"  # or matplotlib would read it as mathematics


def _is_log_spaced(values: list[float]) -> bool:
    """Tells whether steps between sorted positive values are more alike as ratios than as differences."""
    if len(values) < 2 or values[0] <= 0:
        return False
    if len(values) == 2:
        return values[1] >= 10 * values[0]
    return _unevenness(np.diff(np.log(values))) < _unevenness(np.diff(values))


def _unevenness(steps: np.ndarray) -> float:
    return np.std(steps) / np.mean(steps)
