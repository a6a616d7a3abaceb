"""Discretisation Drift in Two-Player Games, ICML 2021: orders of errors, and games with closed forms."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from analysis import local_error
from analysis.reproduce.findings import all_of, less, near
from analysis.reproduce.paper import Claim, Figure, Finding
from analysis.reproduce.results import Results
from experiments import catalogue, registry
from experiments.games import flows as toy_flows
from experiments.games import pictures
from experiments.games.experiment import state_at_starts, step_all, walk
from experiments.games.rates import make_rule, spectral_radius
from lib.config import apply_overrides, load_file
from lib.games.flows import DRIFTS, modified_flow
from lib.pictures.figures import hide_upper_spines, new_figure

RATIO, H = 0.4, 0.2
PLAYERS = ("disc", "gen")


# Local errors.


def orders(results: Results) -> dict:
    """Returns {rule: {flow: fitted order}} of the local error."""
    del results
    rates = local_error.sizes(0.1)
    with jax.enable_x64(True):
        return {
            rule: {
                flow: float(local_error.fitted_order(rates, values))
                for flow, values in local_error.errors(rule, local_error.TOY, RATIO, rates).items()
            }
            for rule in DRIFTS
        }


def _order(flow: str, expected: float) -> Callable[[Results], Finding]:
    def check(results: Results) -> Finding:
        return all_of(
            *(
                Finding(f"{rule} {of[flow]:.3f}", abs(of[flow] - expected) < 0.1)
                for rule, of in results.computed.items()
            )
        )

    return check


def _draw_orders(results: Results):
    del results
    with jax.enable_x64(True):
        return local_error.draw(local_error.TOY, RATIO, local_error.sizes(0.1))


# The game x' = -e x + y, y' = -x - e y, and the Dirac GAN.


@functools.cache
def _toy(name: str, *overrides: str):
    config = apply_overrides(load_file(catalogue.CONFIGS / f"games/{name}.py"), overrides)
    return registry.validated(config).games


def _rotational(damping: float):
    return _toy("rotational", f"--config.games.kwargs.damping={damping}")


def two_dimensional(results: Results) -> dict:
    """Returns squared radii of steps, and traces and determinants of modified flows at damping 0.09."""
    del results
    section = _rotational(0.09)
    toy = section.as_toy()
    found = {}
    for rule in DRIFTS:
        drifts = DRIFTS[rule](dict.fromkeys(PLAYERS, H), "shared")
        with jax.enable_x64(True):
            field = modified_flow(toy.game, toy.params([0.0, 0.0]), dict.fromkeys(PLAYERS, H), drifts)
            matrix = np.asarray(jax.jacfwd(field)(jnp.zeros(2))) / H
        found[rule] = (float(np.trace(matrix)), float(np.linalg.det(matrix)))
    radii = {
        (label, damping): spectral_radius(_rotational(damping), label, np.zeros(2)) ** 2
        for label in section.methods
        for damping in (0.09, 0.2)
    }
    return {"flows": found, "squared radii": radii}


def _radius(label: str, damping: float, expected: float) -> Callable[[Results], Finding]:
    return lambda results: near(results.computed["squared radii"][label, damping], expected, 1e-6)


def _trace(rule: str, expected: float) -> Callable[[Results], Finding]:
    return lambda results: near(results.computed["flows"][rule][0], expected, 1e-5)


def _determinants(results: Results) -> Finding:
    values = {rule: determinant for rule, (_, determinant) in results.computed["flows"].items()}
    text = ", ".join(f"{rule} {value:.4g}" for rule, value in values.items())
    return Finding(text, all(value > 0 for value in values.values()))


def _cancelled_converges(results: Results) -> Finding:
    radii = results.computed["squared radii"]
    return less(
        "squared radius cancelled",
        radii["interaction_cancelled", 0.09],
        "as it is",
        radii["simultaneous", 0.09],
    )


def _table_two(results: Results):
    rows = [("", "trace", "determinant")]
    rows += [
        (f"modified flow of {rule} updates", f"{trace:.4f}", f"{determinant:.4f}")
        for rule, (trace, determinant) in results.computed["flows"].items()
    ]
    return rows


def _draw_two(results: Results):
    del results
    section = _rotational(0.09)
    return pictures.trajectories(section, section.as_toy(), _walks(section, 150))


def _walks(section, steps: int) -> dict[str, np.ndarray]:
    toy = section.as_toy()
    rules = {label: make_rule(toy, method, label) for label, method in section.methods.items()}
    move = functools.partial(step_all, toy, rules, section.limit)
    return walk(toy, move, state_at_starts(toy, rules, section.starts), steps)


def dirac(results: Results) -> dict:
    """Returns {flow: distances from simultaneous steps of the Dirac GAN}, [steps + 1]."""
    del results
    section = _dirac()
    with jax.enable_x64(True):
        points = _walks(section, _DIRAC_STEPS)["simultaneous"][:, 0]
    start = section.starts[0]
    return {
        flow: np.linalg.norm(toy_flows.positions(section, flow, start, _DIRAC_STEPS) - points, axis=1)
        for flow in ("original", "modified_shared")
    }


_DIRAC_STEPS = 40


@functools.cache
def _dirac():
    config = load_file(catalogue.CONFIGS / "games/dirac_gan.py")
    config.games.methods = {"simultaneous": config.games.methods.simultaneous}
    config.games.flows, config.games.flows_of = ("original", "modified_shared"), "simultaneous"
    for x in PLAYERS:
        config.games.methods.simultaneous.optimizers[x].learning_rate = 0.1
    return registry.validated(config).games


def _nearer(results: Results) -> Finding:
    last = {flow: float(values.max()) for flow, values in results.computed.items()}
    return less("modified flow", last["modified_shared"], "original", last["original"], factor=3)


def _draw_dirac(results: Results):
    figure = new_figure(5, 3.2)
    axis = figure.subplots()
    for flow, values in results.computed.items():
        axis.semilogy(np.maximum(values[1:], 1e-8), label=flow.replace("_", " "))
    axis.set(xlabel="step", ylabel="distance from the steps")
    axis.legend(frameon=False)
    hide_upper_spines(axis)
    return figure


FIGURES = [
    Figure(
        "orders",
        "Order of one update's distance from its flows",
        [
            Claim("original", "O(h^2) from the original flow", _order("original flow", 2)),
            Claim(
                "modified",
                "O(h^3) from the modified flow, both kinds of updates",
                _order("drift, shared", 3),
            ),
        ],
        compute=orders,
        draw=_draw_orders,
        notes="Rates differ (generator's 0.4 of the discriminator's), where the published coefficients are "
        "those of each player's own clock: on the shared one they are O(h^2).",
    ),
    Figure(
        "two_dimensional",
        "x' = -e x + y, y' = -x - e y: what the modified flow says of convergence",
        [
            Claim(
                "e = 0.2",
                "simultaneous steps of 0.2 converge, squared radius 0.9616",
                _radius("simultaneous", 0.2, 0.9616),
            ),
            Claim(
                "e = 0.09",
                "they diverge, squared radius 1.0043",
                _radius("simultaneous", 0.09, 1.004324),
            ),
            Claim(
                "trace, simultaneous",
                "the modified flow has the trace +0.018: it diverges",
                _trace("simultaneous", 0.01838),
            ),
            Claim(
                "trace, alternating",
                "and -0.182 of alternating updates",
                _trace("alternating", -0.181620),
            ),
            Claim("determinants", "the determinants are positive: the traces decide", _determinants),
            Claim(
                "cancelled",
                "steps with the interaction terms cancelled contract more",
                _cancelled_converges,
            ),
        ],
        compute=two_dimensional,
        draw=_draw_two,
        table=_table_two,
    ),
    Figure(
        "dirac",
        "The Dirac GAN: simultaneous steps against their flows",
        [Claim("modified flow", "the modified flow follows the steps, the original does not", _nearer)],
        compute=dirac,
        draw=_draw_dirac,
    ),
]
