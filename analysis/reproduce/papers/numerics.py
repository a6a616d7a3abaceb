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
from lib.games.updates import Weights
from lib.pictures.colours import COLOURS
from lib.pictures.figures import hide_upper_spines, new_figure
from lib.runtime import checkpoints
from lib.runtime.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

GAN = "gan/ring8_sgd"
LABELS = ("simultaneous", "consensus")
WITHOUT = "consensus, its term left out"


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
    return near("real part farthest from -0.5 is off by", float(np.abs(field.real + 0.5).max()), 0, 1e-9)


def _imaginary(results: Results) -> Finding:
    largest = float(np.abs(results.computed["simultaneous"].field.real).max())
    return near("largest |real part|", largest, 0.0, 1e-9)


def _converges(results: Results) -> Finding:
    radii = {label: float(np.abs(found.step).max()) for label, found in results.computed.items()}
    with_consensus, without = radii["consensus"], radii["simultaneous"]
    ours = f"radius with consensus {with_consensus:.4g}, without {without:.4g}"
    return Finding(ours, with_consensus < 1 < without)


def along_training(results: Results) -> dict:
    """Returns {field: (steps, [all its eigenvalues at each])} along the first seed's runs.

    The fields are those that the runs of LABELS follow, and WITHOUT: the one without the term of consensus,
    at the states of the run with it.
    """
    found = {}
    for label in LABELS:
        folder = RunFolder(results.folder / "ring" / results.runs("ring", label)[0].name)
        programs, batch = trained_game.open_game(folder)
        steps, rule = checkpoints.steps(folder.checkpoints), programs.experiment.game.rule
        states = [folder.restore(programs.abstract_state(), step)[1] for step in steps]

        def eigenvalues(state, rule=rule, batch=batch):
            return -np.linalg.eigvals(dense(game_jacobian(rule, state, batch, jax.random.key(0))))

        found[label] = (steps, [eigenvalues(state) for state in states])
        if label == "consensus":
            plain = [s._replace(weights=Weights.none(rule.dynamics.game.players)) for s in states]
            found[WITHOUT] = (steps, [eigenvalues(state) for state in plain])
    return found


def _angle(spectrum: np.ndarray) -> float:
    """Returns how large imaginary parts are beside the real ones: the mean of |Im| over that of |Re|."""
    return float(np.abs(spectrum.imag).mean() / np.abs(spectrum.real).mean())


def _turned(results: Results) -> Finding:
    """Compares at the last state of the run with consensus."""
    with_term, without = (_angle(results.computed[x][1][-1]) for x in ("consensus", WITHOUT))
    return less("|Im| over |Re| with the term", with_term, "without it at the same state", without)


def _to_the_left(results: Results) -> Finding:
    """Compares the means of all real parts at each state of the run with consensus."""
    pairs = zip(*(results.computed[x][1] for x in ("consensus", WITHOUT)), strict=True)
    means = [(float(a.real.mean()), float(b.real.mean())) for a, b in pairs]
    text = "; ".join(f"{a:.4g} and {b:.4g}" for a, b in means)
    return Finding(
        f"mean real part with the term and without it, at {len(means)} states: {text}",
        all(a < b for a, b in means),
    )


def _is_a_rotation(results: Results) -> Finding:
    _, spectra = results.computed["simultaneous"]
    count = sum(int((np.abs(s.imag) > 0.01 * np.abs(s).max()).any()) for s in spectra)
    ours = f"some |Im| is above 1% of the largest modulus at {count} of {len(spectra)} checkpoints"
    return Finding(ours, count == len(spectra))


def _draw_along(results: Results) -> "Picture":
    steps = next(iter(results.computed.values()))[0]
    figure = new_figure(1.2 + 2.3 * len(steps), 4.8)
    axes = figure.subplots(len(LABELS), len(steps), squeeze=False, sharex="row", sharey="row")
    for row, label in zip(axes, LABELS, strict=True):
        _, spectra = results.computed[label]
        for axis, spectrum in zip(row, spectra, strict=True):
            axis.plot(spectrum.real, spectrum.imag, "o", ms=3, mfc="none", color=COLOURS[0])
            axis.axvline(0, color="black", lw=0.8)
            hide_upper_spines(axis)
        row[0].set_ylabel(f"{label}\nimaginary part")
    for axis, step in zip(axes[0], steps, strict=True):
        axis.set_title(f"step {step:,}", fontsize="medium")
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
                    "converges", "steps with consensus converge, where simultaneous ones do not", _converges
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
                Claim("to the left", "the term of consensus moves eigenvalues to the left", _to_the_left),
                Claim("angle", "the term makes imaginary parts small beside real ones", _turned),
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
            notes="The networks have 8 tanh units, so that the whole Jacobian fits. The paper's "
            "spectra are of networks near an equilibrium, where theory has the term move "
            "eigenvalues to the left; here none is reached: a third of the eigenvalues have "
            "positive real parts. Tried with one seed: Adam and RMSProp at 1e-3, both losses, "
            "consensus of 0.1, 1 and 10, 8,000 steps. Consensus then has more complex "
            "eigenvalues (266 to 362 of 459 against 150 to 200), and their imaginary parts are "
            "no smaller beside the real ones.",
        ),
    ],
)
