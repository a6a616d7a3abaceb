"""The picture of a spectrum: the game's eigenvalues and the flow's half plane, the update's and the unit circle."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.spectrum import Spectrum
from lib.pictures.colours import COLOURS

_NEAR = 4  # a bound beyond so many times what is drawn is named but not drawn
_STABLE = {"color": COLOURS[2], "alpha": 0.12, "lw": 0, "zorder": 0}
_EDGE = {"color": COLOURS[2], "lw": 1, "zorder": 1}
_LARGEST = {"ls": "", "marker": "o", "ms": 5, "mfc": "none", "color": COLOURS[0]}
_OTHERS = {"ls": "", "marker": "x", "ms": 5, "color": COLOURS[1]}


def picture(found: Spectrum) -> Figure:
    """Left the game, right the update; what is stable is shaded."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    (_real_line if found.symmetric else _half_plane)(left, found)
    _unit_circle(right, found)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(
            frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2
        )
    figure.suptitle(found.name, fontsize="medium")
    return figure


def _half_plane(axis: Axes, found: Spectrum) -> None:
    _points(axis, found.largest, "of largest magnitude", _LARGEST)
    _points(axis, found.smallest, "of smallest real part", _OTHERS)
    left, right = _limits(np.concatenate([found.largest.real, found.smallest.real, [0.0]]))
    axis.axvspan(0, right, label="the flow needs Re > 0", **_STABLE)
    axis.axvline(0, **_EDGE)
    axis.set(xlim=(left, right), xlabel="Re", ylabel="Im", title="eigenvalues of the game's Jacobian")


def _real_line(axis: Axes, found: Spectrum) -> None:
    """Real eigenvalues at their rank from their end."""
    ((player, (_, rate)),) = found.hessians.items()
    for values, label, style in (
        (found.largest, "largest", _LARGEST),
        (found.smallest, "smallest", _OTHERS),
    ):
        axis.plot(values, np.arange(1, len(values) + 1), label=f"the {len(values)} {label}", **style)
    left, right = _limits(np.concatenate([found.largest, found.smallest, [0.0]]))
    bound = 2 / rate
    if bound < _NEAR * right:
        right = max(right, 1.1 * bound)
    axis.axvspan(0, bound, label=f"plain descent needs 0 < eigenvalue < 2/h = {bound:.4g}", **_STABLE)
    axis.axvline(0, **_EDGE)
    axis.axvline(bound, **_EDGE)
    axis.invert_yaxis()
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.set(xlim=(left, right), xlabel="eigenvalue", ylabel="rank", title=f"Hessian of {player}")


def _unit_circle(axis: Axes, found: Spectrum) -> None:
    _points(axis, found.moved, "farthest from 1", _LARGEST)
    _points(axis, found.update, "of largest magnitude", _OTHERS)
    seen = np.concatenate([found.moved, found.update, [1.0]])
    circle = np.exp(1j * np.linspace(0, 2 * np.pi, 2000))
    axis.fill(circle.real, circle.imag, label="the update needs modulus < 1", **_STABLE)
    axis.plot(circle.real, circle.imag, **_EDGE)
    axis.set(xlim=_limits(seen.real), ylim=_limits(seen.imag), xlabel="Re", ylabel="Im")
    axis.set_title("eigenvalues of the update's Jacobian")


def _points(axis: Axes, values: np.ndarray, label: str, style: dict) -> None:
    axis.plot(values.real, values.imag, label=f"the {len(values)} {label}", **style)


def _limits(values: np.ndarray) -> tuple[float, float]:
    """The range of values with a margin."""
    low, high = values.min(), values.max()
    margin = 0.1 * (high - low) or 0.1
    return low - margin, high + margin
