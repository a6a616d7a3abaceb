"""Gradient descent against gradient flow, IGR and the principal flow: `./run.sh plot principal_flow`.

After the figures of Rosca, Wu, Qin, Dherin, 'On a continuous time model of gradient descent dynamics and
instability in deep learning', TMLR 2023: its quadratic x^T A x, A = diag(1, 0.01), where steps of size h
shrink, jump over the minimum or diverge (h lam = 2 h is below 1, below 2 or above); two losses that are not
quadratic; and the coefficients r(h lam) with which the flows take the gradient along an eigenvector.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp
import numpy as np
from absl.flags import FlagValues

from analysis.command import define_out, parse_flags, save
from lib.games import flows
from lib.games.flows import FLOWS
from lib.pictures.colours import COLOURS
from lib.pictures.figures import hide_upper_spines, new_figure
from lib.tables import aligned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

USAGE = """Draws, and prints, how near gradient flow, IGR and the principal flow are to gradient descent.

  ./run.sh plot principal_flow [--out=FILE]
"""


def define(values: FlagValues) -> None:
    """Defines the flags of this picture."""
    define_out(values, "principal_flow.png")


def run(argv: list[str]) -> None:
    """Draws gradient descent on small losses against the flows that model it, and prints their distances.

    Raises:
      ConfigError: unknown flags.
    """
    values = parse_flags(argv, define, USAGE, "principal_flow")
    print(table())
    save(draw(), Path(values.out))


class Setting(NamedTuple):
    """Gradient descent on a loss of a vector, from a start, for some steps."""

    title: str
    loss: Callable
    h: float
    start: tuple[float, ...]
    steps: int


def quadratic(theta):
    """Returns x^T A x, A = diag(1, 0.01), whose Hessian has the eigenvalues 2 and 0.02."""
    return theta[0] ** 2 + 0.01 * theta[1] ** 2


def banana(theta):
    """Returns the height of a curved valley that has its minimum at (1, 1)."""
    return (1 - theta[0]) ** 2 + 5 * (theta[1] - theta[0] ** 2) ** 2


def wave(theta):
    """Returns 1 - cos, whose curvature changes along the way."""
    return 1 - jnp.cos(theta[0])


_PAPER = functools.partial(Setting, loss=quadratic, start=(-0.35, -0.2))
PLANES = (
    _PAPER("stable: h = 0.2, h lam = 0.4", h=0.2, steps=60),
    _PAPER("oscillating: h = 0.9, h lam = 1.8", h=0.9, steps=200),
    _PAPER("unstable: h = 1.05, h lam = 2.1", h=1.05, steps=5),
    Setting("banana: h = 0.03, h lam 0.3 to 1.3", banana, 0.03, (-0.5, 0.5), 120),
)
LINE = Setting("1 - cos: h = 1.6, h lam 1.1 to 1.6", wave, 1.6, (0.8,), 12)

_GD = {"color": COLOURS[6], "marker": "o", "ls": "", "label": "gradient descent"}
_STYLES = {
    "gradient_flow": {"color": COLOURS[0], "ls": "-.", "label": "gradient flow"},
    "igr": {"color": COLOURS[4], "ls": "--", "label": "IGR"},
    "principal_flow": {"color": COLOURS[2], "ls": "-", "label": "principal flow"},
    "principal_flow_third_order": {
        "color": COLOURS[3],
        "ls": ":",
        "label": "principal flow, third order",
    },
}
_FINE = 24  # places of a path between two iterates


@functools.cache
def follow(setting: Setting) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Computes the iterates of gradient descent, and the paths of the flows that model it, in one setting.

    Returns:
      (iterates [steps + 1, d], {flow: its complex path at _FINE times a step, [_FINE steps + 1, d]}). The
      term of third order is zero on a quadratic, and left out.
    """
    names = [n for n in FLOWS if n != "principal_flow_third_order" or setting.loss is not quadratic]
    times = setting.h / _FINE * np.arange(_FINE * setting.steps + 1)
    iterates = flows.gradient_descent(setting.loss, setting.h, setting.start, setting.steps)
    paths = {
        name: flows.integrate(FLOWS[name](setting.loss, setting.h), setting.start, times) for name in names
    }
    return iterates, paths


def distances(setting: Setting) -> dict[str, np.ndarray]:
    """Returns {flow: |flow at time n h - iterate n|, n = 0 .. steps}."""
    iterates, paths = follow(setting)
    return {name: np.linalg.norm(path[::_FINE] - iterates, axis=1) for name, path in paths.items()}


def table() -> str:
    """Formats the largest distance of each flow from the iterates, in each setting."""
    rows = [("largest distance from the iterates", *FLOWS)]
    for setting in (*PLANES, LINE):
        largest = {name: f"{values.max():.1e}" for name, values in distances(setting).items()}
        rows.append((setting.title, *(largest.get(name, "-") for name in FLOWS)))
    return aligned(rows)


def draw() -> "Figure":
    """Draws paths in the plane, their distances from the iterates, a path on a line, and coefficients."""
    figure = new_figure(12, 8.6)
    grid = figure.add_gridspec(3, 4, height_ratios=(1.1, 1, 1))
    for i, setting in enumerate(PLANES):
        _draw_plane(figure.add_subplot(grid[0, i]), setting)
        _draw_distances(figure.add_subplot(grid[1, i]), setting)
    _draw_line(figure.add_subplot(grid[2, :2]), LINE)
    _draw_coefficients(figure.add_subplot(grid[2, 2:]))
    for axis in figure.axes:
        hide_upper_spines(axis)
    handles, labels = figure.axes[6].get_legend_handles_labels()  # of the banana, which has all flows
    figure.legend(handles, labels, loc="outside upper center", ncols=5, frameon=False, fontsize="medium")
    return figure


def _draw_plane(axis: "Axes", setting: Setting) -> None:
    """Draws iterates and paths in the plane over the contours of the loss."""
    iterates, paths = follow(setting)
    for name, path in paths.items():
        axis.plot(*path.real.T, lw=1.4, **_STYLES[name])
    axis.plot(*iterates.T, ms=3.5, zorder=1.5, **_GD)
    axis.locator_params(nbins=4)
    limits = axis.get_xlim(), axis.get_ylim()
    plane = np.meshgrid(*(np.linspace(*limit, 80) for limit in limits))
    values = np.asarray(setting.loss(np.stack(plane)))
    levels = values.max() * np.linspace(0.05, 1, 9) ** 2
    axis.contour(*plane, values, levels=levels, colors="0.8", linewidths=0.7, zorder=0)
    _label(axis, setting.title, "$\\theta_1$ (real part)", "$\\theta_2$ (real part)")


def _draw_distances(axis: "Axes", setting: Setting) -> None:
    """Draws the distances of the flows from the iterates against the step."""
    for name, values in distances(setting).items():
        axis.semilogy(range(1, setting.steps + 1), values[1:], lw=1.6, **_STYLES[name])
    _label(axis, "", "step n", "|flow at n h - iterate n|")


def _draw_line(axis: "Axes", setting: Setting) -> None:
    """Draws iterates and paths of one coordinate against time."""
    iterates, paths = follow(setting)
    for name, path in paths.items():
        axis.plot(np.arange(len(path)) / _FINE, path[:, 0].real, lw=1.6, **_STYLES[name])
    axis.plot(iterates[:, 0], ms=5, **_GD)
    axis.axhline(0, color="0.8", lw=0.7, zorder=0)
    _label(axis, setting.title, "step n, or time / h", "$\\theta$ (real part)")


def _draw_coefficients(axis: "Axes") -> None:
    """Draws the coefficients, their real parts, with which flows take the gradient along an eigenvector."""
    z = np.concatenate([np.linspace(0, 1 - 1e-4, 200), np.linspace(1 + 1e-4, 4, 400)])
    coefficients = {
        "gradient_flow": -np.ones_like(z),
        "igr": -(1 + z / 2),
        "principal_flow": flows.principal_coefficient(z).real,
    }
    for name, values in coefficients.items():
        axis.plot(z, values, lw=1.6, **_STYLES[name])
    axis.axhline(0, color="0.8", lw=0.7, zorder=0)
    for place, text in ((1, "jumps over\nthe minimum"), (2, "unstable")):
        axis.axvline(place, color="0.6", lw=0.8, ls=(0, (1, 3)), zorder=0)
        axis.text(place + 0.04, 0.55, text, fontsize="small", va="top")
    axis.set(ylim=(-4, 0.6), xlim=(0, 4))
    title = "along an eigenvector, |u . theta(n h)| is multiplied by exp(n h lam Re r)"
    _label(axis, title, "h lam", "real part of r(h lam)")


def _label(axis: "Axes", title: str, x: str, y: str) -> None:
    """Sets the texts of the axes, with the Greek letters that settings spell out for the table."""
    axis.set_title(_with_greek_letters(title), fontsize="medium")
    axis.set(xlabel=_with_greek_letters(x), ylabel=_with_greek_letters(y))


def _with_greek_letters(text: str) -> str:
    return text.replace("lam", "$\\lambda$").replace("theta(", "$\\theta$(")
