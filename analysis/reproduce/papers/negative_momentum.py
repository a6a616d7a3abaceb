"""Negative Momentum for Improved Game Dynamics, AISTATS 2019: a bilinear game, and 8 Gaussians."""

import functools
from typing import NamedTuple

import numpy as np

from analysis import momentum
from analysis.reproduce.findings import more, near
from analysis.reproduce.paper import Claim, Figure, Finding, Paper, Scale, Training
from analysis.reproduce.pictures import bars
from analysis.reproduce.results import Results
from experiments import catalogue, registry
from experiments.games.rates import spectral_radius
from lib.config import apply_overrides, load_file

RATE, SMALL = 0.3, 0.02
MOMENTA = (-0.5, -0.1, 0.0, 0.5)
RATES = (0.1, 0.03, 0.01)
MODES = "test/captured_modes"


@functools.cache
def _bilinear(*overrides: str):
    config = apply_overrides(load_file(catalogue.CONFIGS / "games/bilinear.py"), overrides)
    return registry.validated(config).games


class Computed(NamedTuple):
    """What is computed of the bilinear game.

    Attributes:
      spectra: at RATE, against the momentum of both players.
      squared_radius: of alternating steps of SMALL with momentum -1/2.
      one_player: spectral radius of alternating steps of RATE, with momentum -1/2 of the first player and
        0 of the second.
    """

    spectra: momentum.Spectra
    squared_radius: float
    one_player: float


def computed(results: Results) -> Computed:
    """Computes spectra of the bilinear game."""
    del results
    half = momentum.eigenvalues(_bilinear(), "alternating", SMALL, np.array([-0.5]))
    section = _bilinear("--config.games.methods.alternating.optimizers.disc.kwargs.momentum=-0.5")
    one_player = spectral_radius(section, "alternating", np.zeros(2))
    return Computed(momentum.analyse(_bilinear(), RATE), float(np.abs(half).max() ** 2), one_player)


def _best_momentum(results: Results) -> Finding:
    radii = results.computed.spectra.radii["alternating"]
    return near("least spectral radius at momentum", momentum.MOMENTA[radii.argmin()], -0.5, 0.06)


def _first_alone_converges(results: Results) -> Finding:
    radius = results.computed.one_player
    return Finding(f"spectral radius {radius:.6f} at rates of {RATE:g}", radius < 1)


def _simultaneous_diverges(results: Results) -> Finding:
    least = results.computed.spectra.radii["simultaneous"].min()
    return Finding(f"the least spectral radius is {least:.6f}", bool(least > 1))


def _only_negative_converges(results: Results) -> Finding:
    radii = results.computed.spectra.radii["alternating"]
    converging = momentum.MOMENTA[radii < 1 - 1e-9]
    if not len(converging):
        return Finding(f"none of {len(radii)} momenta", False)
    least, largest = converging.min(), converging.max()
    ours = f"{len(converging)} of {len(radii)} momenta, from {least:.3f} to {largest:.3f}"
    return Finding(ours, bool(largest < 0))


def _leading_order(results: Results) -> Finding:
    # 1 + 2 b eta^2 / (1 - b)^3 at b = -1/2
    coefficient = (results.computed.squared_radius - 1) / SMALL**2
    return near(f"(squared radius - 1) / eta^2 at {SMALL:g}", coefficient, -8 / 27, 0.01)


def _draw_spectra(results: Results):
    return momentum.draw(_bilinear(), RATE, results.computed.spectra)


def _methods() -> dict:
    players = ("disc", "gen")
    return {
        (rate, beta): {f"gan.optimizers.{x}.learning_rate": rate for x in players}
        | {f"gan.optimizers.{x}.kwargs.momentum": beta for x in players}
        for rate in RATES
        for beta in MOMENTA
    }


def _best_rate(results: Results, beta: float):
    """Returns the captured modes at the rate where a momentum captures most."""
    each = [results.best("ring", (rate, beta), MODES) for rate in RATES]
    return max(each, key=lambda modes: np.nan_to_num(modes.mean, nan=-1))


def _negative_is_better(results: Results) -> Finding:
    return more("modes with momentum -0.5", _best_rate(results, -0.5), "with 0", _best_rate(results, 0.0))


def _negative_beats_positive(results: Results) -> Finding:
    return more("modes with momentum -0.5", _best_rate(results, -0.5), "with 0.5", _best_rate(results, 0.5))


def _draw_ring(results: Results):
    groups = {
        f"rate {rate:g}": {f"{beta:g}": results.best("ring", (rate, beta), MODES) for beta in MOMENTA}
        for rate in RATES
    }
    return bars(groups, "momentum of both players", "modes captured at best, of 8")


def _table_ring(results: Results):
    rows = [("rate", *(f"momentum {beta:g}" for beta in MOMENTA))]
    for rate in RATES:
        rows.append((f"{rate:g}", *(str(results.best("ring", (rate, b), MODES)) for b in MOMENTA)))
    return rows


PAPER = Paper(
    "negative_momentum",
    "Negative momentum",
    "Gidel, Askari Hemmat, Pezeshki, Le Priol, Huang, Lacoste-Julien, Mitliagkas, 'Negative Momentum for "
    "Improved Game Dynamics', AISTATS 2019.",
    "game_dynamics.md",
    [
        Figure(
            "spectra",
            "Spectral radius against momentum, eigenvalues and portraits of the bilinear game",
            [
                Claim("best momentum", "-1/2 is the best momentum of alternating updates", _best_momentum),
                Claim(
                    "simultaneous",
                    "simultaneous updates diverge for every momentum",
                    _simultaneous_diverges,
                ),
                Claim(
                    "sign",
                    "alternating updates converge for negative momenta alone",
                    _only_negative_converges,
                ),
                Claim(
                    "one player",
                    "momentum -1/2 of the first player and 0 of the second makes alternating "
                    "updates converge",
                    _first_alone_converges,
                ),
                Claim(
                    "leading order",
                    "(derived here, for momentum -1/2 of both) the squared radius is 1 - (8/27)"
                    " eta^2 to leading order: convergence is linear",
                    _leading_order,
                ),
            ],
            compute=computed,
            draw=_draw_spectra,
        ),
        Figure(
            "gaussians",
            "8 Gaussians: modes captured over rates and momenta of both players",
            [
                Claim(
                    "against none", "negative momentum captures more modes than none", _negative_is_better
                ),
                Claim(
                    "against positive",
                    "negative momentum captures more than positive momentum",
                    _negative_beats_positive,
                ),
            ],
            trainings={
                "ring": Training(
                    "gan/ring8",
                    _methods(),
                    {Scale.SMOKE: 1, Scale.LAPTOP: 5, Scale.PAPER: 5},
                    settings={
                        scale: {
                            "batch_size": 128,
                            "gan.gen_loss": "saturating",
                            "gan.optimizers.disc.name": "sgd",
                            "gan.optimizers.gen.name": "sgd",
                            "gan.optimizers.disc.kwargs": {},
                            "gan.optimizers.gen.kwargs": {},
                        }
                        | more_settings
                        for scale, more_settings in (
                            (Scale.SMOKE, {"gan.nets.kwargs.num_units": 4}),
                            (Scale.LAPTOP, {"num_steps": 5_000, "eval_every": 500, "figures_every": 0}),
                            (Scale.PAPER, {"num_steps": 100_000, "eval_every": 1_000}),
                        )
                    },
                )
            },
            draw=_draw_ring,
            table=_table_ring,
            notes="Networks and latents are those of ring8.py, two layers of 25 tanh units; the paper's"
            " are larger, of ReLU. Tried with one seed of four layers of 64 ReLU units: at rate "
            "0.1 momentum -0.5 captures 1 mode, and 0 and 0.5 diverge; at 0.03 momenta -0.5, 0 "
            "and 0.5 capture 2, 1 and 2; of two layers of 25 ReLU units, 10,000 steps: 1, 1 and 0 at "
            "0.1, and 0, 1 and 1 at 0.03.",
        ),
    ],
)
