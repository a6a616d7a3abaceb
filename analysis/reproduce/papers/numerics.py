"""The Numerics of GANs, NeurIPS 2017: eigenvalues of a GAN along training, and of toy methods."""

from typing import TYPE_CHECKING

import jax
import numpy as np

from analysis import methods, trained_game
from analysis.reproduce.findings import less, near
from analysis.reproduce.paper import Claim, Figure, Finding, Paper, Scale, Training
from analysis.reproduce.presets import changed
from analysis.reproduce.results import Results
from configs import play
from experiments import catalogue, registry
from lib.config import load_file
from lib.games.eigenvalues import dense
from lib.games.operators import game_jacobian
from lib.pictures.colours import COLOURS
from lib.pictures.figures import hide_upper_spines, new_figure
from lib.runtime import checkpoints
from lib.runtime.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

GAN = "gan/ring8_sgd"
LABELS = ("simultaneous", "consensus")


def _toy():
    return registry.validated(load_file(catalogue.CONFIGS / "games/bilinear.py")).games


def plane(results: Results) -> dict:
    """Returns {method: its eigenvalues} of the bilinear game."""
    del results
    section = _toy()
    chosen = ("simultaneous", "alternating", "consensus", "extragradient", "optimistic")
    return {label: methods.eigenvalues(section, label) for label in chosen}


def _moves_left(results: Results) -> Finding:
    field = results.computed["consensus"].field
    return near(float(field.real.max()), -0.5, 1e-9)


def _imaginary(results: Results) -> Finding:
    return near(float(np.abs(results.computed["simultaneous"].field.real).max()), 0.0, 1e-9)


def _converges(results: Results) -> Finding:
    radii = {label: float(np.abs(found.step).max()) for label, found in results.computed.items()}
    with_consensus, without = radii["consensus"], radii["simultaneous"]
    ours = f"radius with consensus {with_consensus:.4g}, without {without:.4g}"
    return Finding(ours, with_consensus < 1 < without)


def along_training(results: Results) -> dict:
    """Returns {method: (steps, [all eigenvalues of the field at each])} of the first seed's run."""
    found = {}
    for label in LABELS:
        folder = RunFolder(results.folder / "ring" / results.runs("ring", label)[0].name)
        programs, batch = trained_game.open_game(folder)
        steps = checkpoints.steps(folder.checkpoints)
        spectra = []
        for step in steps:
            _, state = folder.restore(programs.abstract_state(), step)
            rule = programs.experiment.game.rule
            matrix = dense(game_jacobian(rule, state, batch, jax.random.key(0)))
            spectra.append(-np.linalg.eigvals(matrix))
        found[label] = (steps, spectra)
    return found


def _angle(spectrum: np.ndarray) -> float:
    """Returns how large imaginary parts are beside the real ones: the mean of |Im| over that of |Re|."""
    return float(np.abs(spectrum.imag).mean() / np.abs(spectrum.real).mean())


def _turned(results: Results) -> Finding:
    last = {label: _angle(spectra[-1]) for label, (_, spectra) in results.computed.items()}
    return less("|Im| over |Re| with consensus", last["consensus"], "without", last["simultaneous"])


def _to_the_left(results: Results) -> Finding:
    last = {label: float(spectra[-1].real.min()) for label, (_, spectra) in results.computed.items()}
    return less("least real part with consensus", last["consensus"], "without", last["simultaneous"])


def _is_a_rotation(results: Results) -> Finding:
    _, spectra = results.computed["simultaneous"]
    count = sum(int((np.abs(s.imag) > 0.01 * np.abs(s).max()).any()) for s in spectra)
    return Finding(f"at {count} of {len(spectra)} checkpoints", count == len(spectra))


def _draw_along(results: Results) -> "Picture":
    steps = next(iter(results.computed.values()))[0]
    figure = new_figure(1.2 + 2.3 * len(steps), 4.8)
    axes = figure.subplots(len(LABELS), len(steps), squeeze=False, sharex="row", sharey="row")
    for row, (label, (_, spectra)) in zip(axes, results.computed.items(), strict=True):
        for axis, step, spectrum in zip(row, steps, spectra, strict=True):
            axis.plot(spectrum.real, spectrum.imag, "o", ms=3, mfc="none", color=COLOURS[0])
            axis.axvline(0, color="black", lw=0.8)
            axis.set_title(f"step {step:,}", fontsize="medium")
            hide_upper_spines(axis)
        row[0].set_ylabel(f"{label}\nimaginary part")
    for axis in axes[-1]:
        axis.set_xlabel("real part")
    return figure


PAPER = Paper(
    "numerics",
    "The numerics of GANs",
    "Mescheder, Nowozin, Geiger, 'The Numerics of GANs', NeurIPS 2017.",
    "game_dynamics.md",
    [
        Figure(
            "plane",
            "Eigenvalues of the bilinear game's field, and of a step of several methods",
            [
                Claim("imaginary", "a zero-sum bilinear game has imaginary eigenvalues alone", _imaginary),
                Claim("to the left", "consensus of weight 0.5 moves real parts to -0.5", _moves_left),
                Claim(
                    "converges", "so that its steps converge, where simultaneous ones do not", _converges
                ),
            ],
            compute=plane,
            draw=lambda results: methods.draw(_toy(), results.computed),
        ),
        Figure(
            "ring8",
            "All eigenvalues of a small GAN's field along training, without and with consensus",
            [
                Claim("rotation", "a GAN's field has complex eigenvalues along training", _is_a_rotation),
                Claim("to the left", "consensus moves eigenvalues to the left", _to_the_left),
                Claim("angle", "and makes imaginary parts small beside real ones", _turned),
            ],
            trainings={
                "ring": Training(
                    GAN,
                    {"simultaneous": {}, "consensus": changed(GAN, lambda gan: play.consensus(gan, 0.5))},
                    {Scale.SMOKE: 1, Scale.LAPTOP: 1, Scale.PAPER: 1},
                    settings={
                        Scale.SMOKE: {"gan.nets.kwargs.num_units": 3, "batch_size": 32},
                        **{
                            scale: {
                                "gan.nets.kwargs.num_units": 8,
                                "num_steps": 4_000,
                                "checkpoint_every": 1_000,
                                "keep_checkpoints": 4,
                                "figures_every": 0,
                            }
                            for scale in (Scale.LAPTOP, Scale.PAPER)
                        },
                    },
                )
            },
            compute=along_training,
            draw=_draw_along,
            notes="The networks have 8 tanh units, so that the whole Jacobian fits. The paper's spectra"
            " are of networks near an equilibrium; here none is reached: a third of the "
            "eigenvalues have positive real parts. Tried with one seed: Adam and RMSProp at 1e-3,"
            " both losses, consensus of 0.1, 1 and 10, 8,000 steps. Consensus then has more "
            "complex eigenvalues (266 to 362 of 459 against 150 to 200), and their imaginary "
            "parts are no smaller beside the real ones.",
        ),
    ],
)
