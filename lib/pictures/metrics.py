"""Curves of metrics against the step, in panels."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lib.pictures.colours import COLOURS, distinct_colours
from lib.pictures.figures import hide_upper_spines, new_figure, new_panels, save_figure
from lib.tables import mean_and_spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 4  # panels side by side
_DECADE = 10  # a panel whose values lie farther apart has a logarithmic axis


class Band(NamedTuple):
    """Values that a curve is compared with: `mean` +- `spread`, and what they are of."""

    label: str
    mean: float
    spread: float


def by_panel(names: Iterable[str]) -> dict[str, list[str]]:
    """Groups names with a slash: {label of the panel: names}.

    `angle/01` is by what is before it; `uniform/loss`, of an average of parameters, stands beside `loss`.
    """
    names = list(dict.fromkeys(names))
    groups: dict[str, list[str]] = {}
    for name in names:
        prefix, _, rest = name.partition("/")
        groups.setdefault(rest if rest in names else prefix, []).append(name)
    return groups


def metric_curves(
    records: Sequence[Mapping[str, float]],
    panels: Mapping[str, Sequence[str]],
    path: Path,
    bands: Mapping[str, Sequence[Band]] | None = None,
) -> None:
    """Writes a picture with one panel per group of metrics against the step; none if there are no records.

    Args:
      records: with `step` and metrics, as read from metrics/*.jsonl.
      panels: {label of the y axis: names of metrics}; names without records are left out.
      path: of the PNG file.
      bands: {name of a metric: what its panel shows beside the curves}; these panels have legends.
    """
    bands = bands or {}
    recorded = {n for record in records for n, value in record.items() if isinstance(value, float | int)}
    panels = {label: [name for name in names if name in recorded] for label, names in panels.items()}
    panels = {label: names for label, names in panels.items() if names}
    if not panels:
        return
    columns = min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    if max(map(len, panels.values())) > len(COLOURS):  # legends stand beside their panels
        figure = new_figure(5 * columns, 3.4 * rows)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
    else:
        figure, axes = new_panels(rows, columns, 5, 3.4)
    for axis, (label, names) in zip(axes, panels.items(), strict=False):
        _draw_panel(axis, records, label, names)
        if beside := [band for name in names for band in bands.get(name, ())]:
            _draw_bands(axis, beside, names)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    save_figure(figure, path)


def _draw_panel(
    axis: "Axes", records: Sequence[Mapping[str, float]], label: str, names: Sequence[str]
) -> None:
    """Draws a curve for each of some metrics, and a legend where there are several."""
    for name, colour in zip(names, distinct_colours(len(names)), strict=True):
        points = [(r["step"], r[name]) for r in records if isinstance(r.get(name), float | int)]
        marker = "o" if len(points) == 1 else None
        axis.plot(*zip(*points, strict=True), label=name, color=colour, lw=1, marker=marker)
    axis.set(xlabel="step", ylabel=label)
    axis.ticklabel_format(axis="y", scilimits=(-3, 4))  # few digits: the margin is fixed
    if len(names) > len(COLOURS):
        axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    elif len(names) > 1:
        axis.legend(frameon=False)
    hide_upper_spines(axis)


def _draw_bands(axis: "Axes", bands: Sequence[Band], names: Sequence[str]) -> None:
    """Draws bands beside the curves of some metrics, and a legend of all that has the bands' numbers."""
    values = [*axis.dataLim.intervaly, *(band.mean for band in bands)]
    if min(values) > 0 and max(values) > _DECADE * min(values):
        axis.set_yscale("log")
    for band, colour in zip(bands, distinct_colours(len(names) + len(bands))[len(names) :], strict=True):
        label = f"{band.label}: {mean_and_spread(band.mean, band.spread)}"
        axis.axhline(band.mean, color=colour, lw=1, ls="--", label=label)
        axis.axhspan(band.mean - band.spread, band.mean + band.spread, color=colour, alpha=0.2, lw=0)
    axis.legend(frameon=False, fontsize="small")
