"""Gradient descent against gradient flow, IGR and the principal flow: `./run.sh plot principal_flow`.

After the figures of Rosca, Wu, Qin, Dherin, 'On a continuous time model of gradient descent dynamics and
instability in deep learning', TMLR 2023: its quadratic x^T A x, A = diag(1, 0.01), where steps of size h shrink,
jump over the minimum or diverge (h lam = 2 h is below 1, below 2 or above); two losses that are not quadratic;
and the coefficients r(h lam) with which the flows take the gradient along an eigenvector.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib import tables
from lib.games import flows
from lib.games.flows import FLOWS
from lib.pictures.colours import COLOURS


class Setting(NamedTuple):
    """Gradient descent on a loss of a vector, from a start, for some steps."""

    title: str
    loss: Callable
    h: float
    start: tuple[float, ...]
    steps: int


def quadratic(theta):
    """x^T A x, A = diag(1, 0.01): H has the eigenvalues 2 and 0.02."""
    return theta[0] ** 2 + 0.01 * theta[1] ** 2


def banana(theta):
    """A curved valley, with its minimum at (1, 1)."""
    return (1 - theta[0]) ** 2 + 5 * (theta[1] - theta[0] ** 2) ** 2


def wave(theta):
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
def followed(setting: Setting) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(iterates [steps + 1, d], {flow: its complex path at _FINE times a step, [_FINE steps + 1, d]}).

    The term of third order is zero on a quadratic, and left out.
    """
    names = [n for n in FLOWS if n != "principal_flow_third_order" or setting.loss is not quadratic]
    times = setting.h / _FINE * np.arange(_FINE * setting.steps + 1)
    solve = lambda name: flows.integrate(FLOWS[name](setting.loss, setting.h), setting.start, times)
    iterates = flows.gradient_descent(setting.loss, setting.h, setting.start, setting.steps)
    return iterates, {name: solve(name) for name in names}


def distances(setting: Setting) -> dict[str, np.ndarray]:
    """{flow: |flow at time n h - iterate n|, n = 0 .. steps}."""
    iterates, paths = followed(setting)
    return {name: np.linalg.norm(path[::_FINE] - iterates, axis=1) for name, path in paths.items()}


def table() -> str:
    """The largest distance of each flow from the iterates, in each setting."""
    rows = [("largest distance from the iterates", *FLOWS)]
    for setting in (*PLANES, LINE):
        found = distances(setting)
        rows.append(
            (setting.title, *(f"{found[name].max():.1e}" if name in found else "-" for name in FLOWS))
        )
    return tables.aligned(rows)


def picture() -> Figure:
    """Paths over contours, distances from the iterates below them, a path on a line, and the coefficients."""
    figure = Figure(figsize=(12, 8.6), layout="constrained")
    grid = figure.add_gridspec(3, 4, height_ratios=(1.1, 1, 1))
    for i, setting in enumerate(PLANES):
        _plane(figure.add_subplot(grid[0, i]), setting)
        _distance(figure.add_subplot(grid[1, i]), setting)
    _line(figure.add_subplot(grid[2, :2]), LINE)
    _coefficients(figure.add_subplot(grid[2, 2:]))
    for axis in figure.axes:
        axis.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[6].get_legend_handles_labels()  # of the banana, which has all flows
    figure.legend(handles, labels, loc="outside upper center", ncols=5, frameon=False, fontsize="medium")
    return figure


def _plane(axis: Axes, setting: Setting) -> None:
    iterates, paths = followed(setting)
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


def _distance(axis: Axes, setting: Setting) -> None:
    for name, values in distances(setting).items():
        axis.semilogy(range(1, setting.steps + 1), values[1:], lw=1.6, **_STYLES[name])
    _label(axis, "", "step n", "|flow at n h - iterate n|")


def _line(axis: Axes, setting: Setting) -> None:
    iterates, paths = followed(setting)
    for name, path in paths.items():
        axis.plot(np.arange(len(path)) / _FINE, path[:, 0].real, lw=1.6, **_STYLES[name])
    axis.plot(iterates[:, 0], ms=5, **_GD)
    axis.axhline(0, color="0.8", lw=0.7, zorder=0)
    _label(axis, setting.title, "step n, or time / h", "$\\theta$ (real part)")


def _coefficients(axis: Axes) -> None:
    z = np.concatenate([np.linspace(0, 1 - 1e-4, 200), np.linspace(1 + 1e-4, 4, 400)])
    found = {
        "gradient_flow": -np.ones_like(z),
        "igr": -(1 + z / 2),
        "principal_flow": flows.principal_coefficient(z).real,
    }
    for name, values in found.items():
        axis.plot(z, values, lw=1.6, **_STYLES[name])
    axis.axhline(0, color="0.8", lw=0.7, zorder=0)
    for place, text in ((1, "jumps over\nthe minimum"), (2, "unstable")):
        axis.axvline(place, color="0.6", lw=0.8, ls=(0, (1, 3)), zorder=0)
        axis.text(place + 0.04, 0.55, text, fontsize="small", va="top")
    axis.set(ylim=(-4, 0.6), xlim=(0, 4))
    title = "along an eigenvector, |u . theta(n h)| is multiplied by exp(n h lam Re r)"
    _label(axis, title, "h lam", "real part of r(h lam)")


def _label(axis: Axes, title: str, x: str, y: str) -> None:
    """Names in titles of settings stand in plain letters, for the table."""
    pretty = lambda text: text.replace("lam", "$\\lambda$").replace("theta(", "$\\theta$(")
    axis.set_title(pretty(title), fontsize="medium")
    axis.set(xlabel=pretty(x), ylabel=pretty(y))
