"""Pictures of toy games: trajectories over the field, distances to the equilibrium, and rates."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import numpy as np

from experiments.games import flows, rates
from experiments.games.config import GamesSection
from lib.games.flows import FlowError
from lib.games.toys import Toy
from lib.pictures.colours import COLOURS
from lib.pictures.figures import hide_upper_spines, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Trajectories = Mapping[str, np.ndarray]  # {label of a method: points [steps + 1, starts, d]}
_COLUMNS = 3  # panels side by side, at least
_GRID = 200  # points of a line or on a side of a field
_GREY = "0.75"
_FLOW_STYLES = ("--", ":", "-.")


def draw(section: GamesSection, paths: Trajectories) -> dict[str, "Figure"]:
    """Draws {name: picture} of what the methods of a section did."""
    toy = section.as_toy()
    return {
        "trajectories": trajectories(section, toy, paths),
        "convergence": convergence(section, toy, paths),
    }


def reached(toy: Toy, points: np.ndarray) -> np.ndarray:
    """Returns the equilibria [starts, d] nearest to where points [steps + 1, starts, d] lead."""
    apart = np.linalg.norm(points[-1, :, None] - toy.equilibria, axis=-1)
    return toy.equilibria[apart.argmin(-1)]


def distances(toy: Toy, points: np.ndarray) -> np.ndarray:
    """Returns the distances [steps + 1, starts] of points [.., d] from the equilibria that they lead to."""
    return np.linalg.norm(points - reached(toy, points), axis=-1)


def trajectories(section: GamesSection, toy: Toy, paths: Trajectories) -> "Figure":
    """Draws a panel for each method; flows that are asked for are drawn in that of their method."""
    columns = min(len(paths), max(_COLUMNS, math.ceil(math.sqrt(len(paths)))))
    rows = math.ceil(len(paths) / columns)
    legend_right = columns == 1  # too narrow for it below
    figure = new_figure(3.3 * columns + 2 * legend_right, 3.2 * rows + 0.4)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    box = bounds(section, toy)
    named = {}  # for the legend
    for axis, (label, points) in zip(axes, paths.items(), strict=False):
        axis.set_title(label)
        background(axis, toy, box)
        steps(axis, toy, points)
        if label == section.flows_of:
            _draw_flows(axis, section, toy, len(points) - 1)
        handles, labels = axis.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    for axis in axes[len(paths) :]:
        axis.remove()
    place, ncols = ("outside right upper", 1) if legend_right else ("outside lower center", 3)
    figure.legend(named.values(), named.keys(), loc=place, ncols=ncols, frameon=False)
    return figure


def _draw_flows(axis: "Axes", section: GamesSection, toy: Toy, num_steps: int) -> None:
    """Draws the flows from all starts; one that cannot be followed so far is named but not drawn there."""
    for name, style in zip(section.flows, _FLOW_STYLES * len(section.flows), strict=False):
        curves = [_flow_curve(section, toy, name, start, num_steps) for start in section.starts]
        lost = sum(curve.size == 0 for curve in curves)
        label = name.replace("_", " ") + (f" (ends early: {lost} not drawn)" if lost else "")
        for i, curve in enumerate(curves):
            axis.plot(*curve, style, color="black", lw=1.2, label=label if i == 0 else None)


def _flow_curve(
    section: GamesSection, toy: Toy, name: str, start: Sequence[float], num_steps: int
) -> np.ndarray:
    """Returns a flow's curve [2, n] in the plane; n = 0 of a flow that cannot be followed so far."""
    try:
        return _plane(toy, flows.positions(section, name, start, num_steps))
    except FlowError:
        return np.empty((2, 0))


def steps(axis: "Axes", toy: Toy, points: np.ndarray) -> None:
    """Draws trajectories of points [steps + 1, starts, d], a colour for each start."""
    for i in range(points.shape[1]):
        xy = _plane(toy, points[:, i])
        colour = COLOURS[i % len(COLOURS)]
        axis.plot(*xy, ".-", color=colour, lw=0.7, ms=3, label="steps" if i == 0 else None)
        axis.plot(
            *xy[:, :1], "o", mfc="white", mec=colour, ms=6, ls="none", label="start" if i == 0 else None
        )


def _plane(toy: Toy, points: np.ndarray) -> np.ndarray:
    """Returns points [n, d] in the plane, [2, n].

    These are the first coordinate of each player, the first two of one alone, or a scalar and its loss.
    """
    if toy.size == 1:
        return np.stack([points[:, 0], np.asarray(jax.vmap(toy.losses)(points))[:, 0]])
    return points[:, list(_shown(toy))].T


def _shown(toy: Toy) -> tuple[int, int]:
    """Returns which coordinates of a point are drawn."""
    sizes = list(toy.sizes.values())
    return (0, sizes[0] if len(sizes) > 1 else 1)


def bounds(section: GamesSection, toy: Toy) -> np.ndarray:
    """Returns [2, 2], (from, to) of both axes of the plane: around all equilibria and starts."""
    middle = toy.equilibria.mean(0)
    ends = np.concatenate([toy.equilibria, np.asarray(section.starts, float)])
    half = max(toy.half_width, 1.2 * np.abs(ends - middle).max())
    if toy.size == 1:
        line = np.linspace(middle[0] - half, middle[0] + half, _GRID)
        heights = _plane(toy, line[:, None])[1]
        room = 0.05 * np.ptp(heights)
        return np.array([[line[0], line[-1]], [heights.min() - room, heights.max() + room]])
    at = middle[list(_shown(toy))]
    return np.stack([at - half, at + half], axis=1)


def background(axis: "Axes", toy: Toy, bounds: np.ndarray) -> None:
    """Draws the field that players follow, a loss's contours or its curve, and the equilibria."""
    axis.set(xlim=bounds[0], ylim=bounds[1])
    names = [f"{x}[0]" if n > 1 else x for x, n in toy.sizes.items()]
    if toy.size == 1:
        line = np.linspace(*bounds[0], _GRID)[:, None]
        axis.plot(*_plane(toy, line), color=_GREY, zorder=0)
        axis.set(xlabel="model", ylabel="loss")
    else:
        axis.set(xlabel=names[0], ylabel=names[1] if len(names) > 1 else "model[1]", aspect="equal")
        if toy.size == 2:
            _field(axis, toy, bounds)
    axis.plot(
        *_plane(toy, toy.equilibria), "*", color="black", ms=11, ls="none", zorder=5, label="equilibrium"
    )


def _field(axis: "Axes", toy: Toy, bounds: np.ndarray) -> None:
    """Draws contours of one player's loss, or the stream lines of two players."""
    n = 80
    x, y = np.meshgrid(*(np.linspace(*b, n) for b in bounds))
    grid = np.stack([x.ravel(), y.ravel()], 1)
    if len(toy.sizes) == 1:
        heights = np.asarray(jax.vmap(toy.losses)(grid)).reshape(n, n)
        levels = np.unique(np.quantile(heights, np.linspace(0, 1, 15)))
        axis.contour(x, y, heights, levels, colors=_GREY, linewidths=0.6)
    else:
        u, v = -np.asarray(jax.vmap(toy.gradient)(grid)).T.reshape(2, n, n)
        axis.streamplot(x, y, u, v, color=_GREY, linewidth=0.6, arrowsize=0.7, density=0.9)


def convergence(section: GamesSection, toy: Toy, paths: Trajectories) -> "Figure":
    """Draws, of the first start, distance against steps, and at the right measured rates and theory's."""
    figure = new_figure(9.5, 0.3 * len(paths) + 3.0)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for i, (label, points) in enumerate(paths.items()):
        colour, style = COLOURS[i % len(COLOURS)], ("-", "--", ":")[i // len(COLOURS) % 3]
        apart = distances(toy, points)[:, 0]
        left.semilogy(np.where(apart > 0, apart, np.nan), style, color=colour, lw=1.4, label=label)
        radius = rates.spectral_radius(section, label, reached(toy, points)[0])
        rate = rates.measured(apart, section.limit)
        right.plot(
            radius, i, "|", color="black", ms=16, mew=1.5, label="spectral radius" if i == 0 else None
        )
        right.plot(rate, i, "o", color=colour, ms=7, label="measured" if i == 0 else None)
        right.annotate(
            f"{_number(rate)} ({_number(radius)})",
            (1.02, i),
            xycoords=("axes fraction", "data"),
            va="center",
        )
    left.set(xlabel="step", ylabel="distance to the equilibrium")
    named = zip(left.get_legend_handles_labels(), right.get_legend_handles_labels(), strict=True)
    handles, labels = (of_left + of_right for of_left, of_right in named)
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    right.axvline(1, color=_GREY, lw=1, zorder=0)
    right.set(xlabel="factor per step", yticks=range(len(paths)), yticklabels=list(paths))
    right.set_ylim(len(paths) - 0.4, -0.6)
    right.set_title("measured (spectral radius)", fontsize="medium")
    for axis in (left, right):
        hide_upper_spines(axis)
    return figure


def _number(value: float) -> str:
    """Returns five decimals, or a dash for what is not finite."""
    return f"{value:.5f}" if np.isfinite(value) else "-"
