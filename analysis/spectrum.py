"""Eigenvalues of a trained run's game and of its update rule, and whether they are stable.

`./run.sh plot spectrum`. The picture shows the game's eigenvalues with the flow's half plane, and the
update's with the unit circle.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from absl import flags

from analysis import checkpoint_spectrum
from analysis.checkpoint_spectrum import Spectrum
from analysis.command import define_examples, define_out, save
from lib.command_line import parse
from lib.errors import ConfigError
from lib.games.eigenvalues import spectral_radius
from lib.pictures.colours import COLOURS
from lib.pictures.figures import hide_upper_spines, new_figure
from lib.tables import aligned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

USAGE = """Draws, and prints, extreme eigenvalues of a trained run's game and of its update rule.

  ./run.sh plot spectrum PATH [--k=20] [--examples=N] [--batches=1] [--all]
    [--out=FILE]

PATH is a work directory, its checkpoints folder, or one step's folder. With --all the spectra of all
checkpoints that a run has kept, on one scale.
"""
_RESTORE = "--config.restore_path="
_NEAR = 4  # a bound beyond so many times what is drawn is named but not drawn
_STABLE = {"color": COLOURS[2], "alpha": 0.12, "lw": 0, "zorder": 0}
_EDGE = {"color": COLOURS[2], "lw": 1, "zorder": 1}
_LARGEST = {"ls": "", "marker": "o", "ms": 5, "mfc": "none", "color": COLOURS[0]}
_OTHERS = {"ls": "", "marker": "x", "ms": 5, "color": COLOURS[1]}


def define(values: flags.FlagValues) -> None:
    """Defines the flags of this picture."""
    flags.DEFINE_integer("k", 20, "How many eigenvalues of the largest magnitude.", flag_values=values)
    flags.DEFINE_bool("all", False, "All checkpoints, not the newest.", flag_values=values)
    define_examples(values)
    define_out(values, "spectrum.png")


def run(argv: list[str]) -> None:
    """Draws the spectrum of a checkpoint's game and update, and prints whether they are stable.

    Raises:
      ConfigError: unknown flags, a field of the config besides restore_path, or see
        `checkpoint_spectrum.compute`.
    """
    if argv and not argv[0].startswith("-"):  # a path, as of other pictures
        argv = [_RESTORE + argv[0], *argv[1:]]
    values, overrides = parse(argv, define, USAGE)
    for override in overrides:
        if not override.startswith(_RESTORE):
            raise ConfigError(f"'{override}': the run's own config is used; leave it out", "plot spectrum")
    if not overrides:
        raise ConfigError("name a run: ./run.sh plot spectrum PATH", "plot spectrum")
    if values.k < 1:
        raise ConfigError(f"{values.k} is no number of eigenvalues; use 1 or more", "--k")
    path = overrides[-1].removeprefix(_RESTORE)
    if values.all:
        spectra = checkpoint_spectrum.compute_all(path, values.k, values.examples, values.batches)
        print(table_of_all(spectra))
        save(draw_all(spectra), Path(values.out))
        return
    spectrum = checkpoint_spectrum.compute(path, values.k, values.examples, values.batches)
    print(table(spectrum))
    save(draw(spectrum), Path(values.out))


def table_of_all(spectra: Sequence[Spectrum]) -> str:
    """Formats magnitude, smallest real part, the update's radius and the curvatures of each checkpoint."""
    tops = [f"Hessian, {player}" for player in spectra[0].hessians]
    rows = [("", "largest |mu|", "smallest Re mu", "radius of the update", *tops)]
    for spectrum in spectra:
        numbers = (_magnitude(spectrum), spectrum.smallest.real.min(), _radius(spectrum))
        tops = [hessian.top for hessian in spectrum.hessians.values()]
        rows.append((spectrum.name, *(f"{number:.6g}" for number in (*numbers, *tops))))
    return aligned(rows)


def _radius(spectrum: Spectrum) -> float:
    return spectral_radius(np.concatenate([spectrum.update, spectrum.moved]))


def _magnitude(spectrum: Spectrum) -> float:
    return np.abs([*spectrum.largest, *spectrum.smallest]).max()


def table(spectrum: Spectrum) -> str:
    """Formats sizes, radii and curvatures, with the bounds within which flow and update are stable."""
    radius, magnitude = _radius(spectrum), _magnitude(spectrum)
    smallest = spectrum.smallest.real.min()
    rows = [
        ("", spectrum.name, "stable if", ""),
        ("parameters", f"{spectrum.sizes[0]:,}", "", ""),
        ("augmented state", f"{spectrum.sizes[1]:,}", "", ""),
        *([("held, without derivative", f"{spectrum.held:,}", "", "")] if spectrum.held else []),
        ("largest |mu| of the game", f"{magnitude:.4g}", "", ""),
        ("smallest Re mu of the game", f"{smallest:.4g}", "> 0", _stability(smallest > 0)),
        ("spectral radius of the update", f"{radius:.6g}", "< 1", _stability(radius < 1)),
    ]
    for player, (top, rate) in spectrum.hessians.items():
        bound = f"< 2/h = {2 / rate:.4g}, plain descent"
        rows.append((f"top Hessian eigenvalue, {player}", f"{top:.4g}", bound, _stability(top < 2 / rate)))
    return aligned(rows)


def _stability(holds: bool) -> str:
    return "stable" if holds else "unstable"


def draw(spectrum: Spectrum) -> "Figure":
    """Draws the game's eigenvalues on the left and the update's on the right; what is stable is shaded."""
    figure = new_figure(10, 4.6)
    left, right = figure.subplots(1, 2)
    (_draw_real_line if spectrum.symmetric else _draw_half_plane)(left, spectrum)
    _draw_unit_circle(right, spectrum)
    for axis in (left, right):
        hide_upper_spines(axis)
        axis.legend(
            frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2
        )
    figure.suptitle(spectrum.name, fontsize="medium")
    return figure


def draw_all(spectra: Sequence[Spectrum]) -> "Figure":
    """Draws a column for each checkpoint: the game's eigenvalues above, the update's below; one scale."""
    columns = len(spectra)
    figure = new_figure(1.0 + 2.4 * columns, 5.6)
    axes = figure.subplots(2, columns, squeeze=False, sharex="row", sharey="row")
    game = [np.concatenate([s.largest, s.smallest]) for s in spectra]
    update = [np.concatenate([s.moved, s.update]) for s in spectra]
    circle = np.exp(1j * np.linspace(0, 2 * np.pi, 2000))
    for (above, below), spectrum, mu, moved in zip(axes.T, spectra, game, update, strict=True):
        above.plot(mu.real, mu.imag, **_LARGEST)
        above.axvline(0, **_EDGE)
        below.plot(moved.real, moved.imag, **_LARGEST)
        below.plot(circle.real, circle.imag, **_EDGE)
        above.set_title(spectrum.name.rpartition(", ")[2], fontsize="medium")
        for axis in (above, below):
            axis.set_xlabel("Re")
            hide_upper_spines(axis)
    for row, values, edge, what in zip(axes, (game, update), (0, 1), ("game", "update"), strict=True):
        points = np.concatenate([*values, [edge]])
        row[0].set(xlim=_limits(points.real), ylim=_limits(points.imag), ylabel=f"Im, of the {what}")
    return figure


def _draw_half_plane(axis: "Axes", spectrum: Spectrum) -> None:
    """Draws the complex eigenvalues of a game of several players, and the half plane of a stable flow."""
    _draw_points(axis, spectrum.largest, "of largest magnitude", _LARGEST)
    _draw_points(axis, spectrum.smallest, "of smallest real part", _OTHERS)
    left, right = _limits(np.concatenate([spectrum.largest.real, spectrum.smallest.real, [0.0]]))
    axis.axvspan(0, right, label="the flow needs Re > 0", **_STABLE)
    axis.axvline(0, **_EDGE)
    axis.set(xlim=(left, right), xlabel="Re", ylabel="Im", title="eigenvalues of the game's Jacobian")


def _draw_real_line(axis: "Axes", spectrum: Spectrum) -> None:
    """Draws the real eigenvalues of one player's Hessian at their ranks, and the stable range."""
    ((player, (_, rate)),) = spectrum.hessians.items()
    for values, label, style in (
        (spectrum.largest, "largest", _LARGEST),
        (spectrum.smallest, "smallest", _OTHERS),
    ):
        axis.plot(values, np.arange(1, len(values) + 1), label=f"the {len(values)} {label}", **style)
    left, right = _limits(np.concatenate([spectrum.largest, spectrum.smallest, [0.0]]))
    bound = 2 / rate
    if bound < _NEAR * right:
        right = max(right, 1.1 * bound)
    axis.axvspan(0, bound, label=f"plain descent needs 0 < eigenvalue < 2/h = {bound:.4g}", **_STABLE)
    axis.axvline(0, **_EDGE)
    axis.axvline(bound, **_EDGE)
    axis.invert_yaxis()
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.set(xlim=(left, right), xlabel="eigenvalue", ylabel="rank", title=f"Hessian of {player}")


def _draw_unit_circle(axis: "Axes", spectrum: Spectrum) -> None:
    """Draws the complex eigenvalues of the update, and the circle of a stable one."""
    _draw_points(axis, spectrum.moved, "farthest from 1", _LARGEST)
    _draw_points(axis, spectrum.update, "of largest magnitude", _OTHERS)
    points = np.concatenate([spectrum.moved, spectrum.update, [1.0]])
    circle = np.exp(1j * np.linspace(0, 2 * np.pi, 2000))
    axis.fill(circle.real, circle.imag, label="the update needs modulus < 1", **_STABLE)
    axis.plot(circle.real, circle.imag, **_EDGE)
    axis.set(xlim=_limits(points.real), ylim=_limits(points.imag), xlabel="Re", ylabel="Im")
    axis.set_title("eigenvalues of the update's Jacobian")


def _draw_points(axis: "Axes", values: np.ndarray, label: str, style: dict) -> None:
    axis.plot(values.real, values.imag, label=f"the {len(values)} {label}", **style)


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Returns the range of values with a margin."""
    low, high = values.min(), values.max()
    margin = 0.1 * (high - low) or 0.1
    return low - margin, high + margin
