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


def _table_orders(results: Results):
    flows = list(next(iter(results.computed.values())))
    rows = [("updates", *(f"order from the {flow}" for flow in flows))]
    for rule, of in results.computed.items():
        rows.append((rule, *(f"{of[flow]:.3f}" for flow in flows)))
    return rows


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


def _trace_and_determinant(toy, rule: str, h: float) -> tuple[float, float]:
    """Returns those of the modified flow's Jacobian at the equilibrium 0 of a game in the plane."""
    rates = dict.fromkeys(PLAYERS, h)
    with jax.enable_x64(True):
        field = modified_flow(toy.game, toy.params([0.0, 0.0]), rates, DRIFTS[rule](rates, "shared"))
        matrix = np.asarray(jax.jacfwd(field)(jnp.zeros(2))) / h
    return float(np.trace(matrix)), float(np.linalg.det(matrix))


def two_dimensional(results: Results) -> dict:
    """Returns squared radii of steps, and traces and determinants of modified flows at damping 0.09."""
    del results
    section = _rotational(0.09)
    toy = section.as_toy()
    found = {rule: _trace_and_determinant(toy, rule, H) for rule in DRIFTS}
    radii = {
        (label, damping): spectral_radius(_rotational(damping), label, np.zeros(2)) ** 2
        for label in section.methods
        for damping in (0.09, 0.2)
    }
    return {"flows": found, "squared radii": radii}


def _radius(label: str, damping: float, expected: float) -> Callable[[Results], Finding]:
    return lambda results: near(
        "squared radius", results.computed["squared radii"][label, damping], expected, 1e-6
    )


def _trace(rule: str, expected: float) -> Callable[[Results], Finding]:
    return lambda results: near("trace", results.computed["flows"][rule][0], expected, 1e-5)


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


def _table_flows(results: Results):
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
    """Returns distances of flows from simultaneous steps of the Dirac GAN, and what decides at 0.

    Returns:
      {"paths": {flow, or steps: [steps + 1, 2]}, "distances": {flow: [steps + 1]},
       "flows": {update rule: (trace, determinant) of its modified flow}}.
    """
    del results
    section = _dirac()
    with jax.enable_x64(True):
        points = _walks(section, _DIRAC_STEPS)["simultaneous"][:, 0]
    start = section.starts[0]
    paths = {
        flow: toy_flows.positions(section, flow, start, _DIRAC_STEPS)
        for flow in ("original", "modified_shared")
    }
    toy = section.as_toy()
    return {
        "paths": {"steps": points} | paths,
        "distances": {flow: np.linalg.norm(path - points, axis=1) for flow, path in paths.items()},
        "flows": {rule: _trace_and_determinant(toy, rule, _DIRAC_RATE) for rule in DRIFTS},
    }


_DIRAC_STEPS, _DIRAC_RATE = 40, 0.1


@functools.cache
def _dirac():
    config = load_file(catalogue.CONFIGS / "games/dirac_gan.py")
    config.games.methods = {"simultaneous": config.games.methods.simultaneous}
    config.games.flows, config.games.flows_of = ("original", "modified_shared"), "simultaneous"
    for x in PLAYERS:
        config.games.methods.simultaneous.optimizers[x].learning_rate = _DIRAC_RATE
    return registry.validated(config).games


def _nearer(results: Results) -> Finding:
    largest = {flow: float(values.max()) for flow, values in results.computed["distances"].items()}
    modified, original = largest["modified_shared"], largest["original"]
    return less(
        "largest distance of the modified flow", modified, "of the original one", original, factor=3
    )


def _spirals(results: Results) -> Finding:
    """Compares with closed forms: v' at 0 is a rotation by 1/2; the drift adds h/8 to its diagonal."""
    trace, determinant = results.computed["flows"]["simultaneous"]
    h = _DIRAC_RATE
    return all_of(
        near("trace", trace, h / 4, 1e-6), near("determinant", determinant, 1 / 4 + (h / 8) ** 2, 1e-6)
    )


def _draw_dirac(results: Results):
    figure = new_figure(8, 3.2)
    plane, axis = figure.subplots(1, 2)
    for name, path in results.computed["paths"].items():
        plane.plot(*path.T, "o" if name == "steps" else "-", ms=2.5, label=name.replace("_", " "))
    plane.set(xlabel="discriminator", ylabel="generator")
    plane.set_aspect("equal", "datalim")
    for flow, values in results.computed["distances"].items():
        axis.semilogy(np.maximum(values[1:], 1e-8), label=flow.replace("_", " "))
    axis.set(xlabel="step", ylabel="distance from the steps")
    axis.legend(frameon=False)
    for each in (plane, axis):
        hide_upper_spines(each)
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
        table=_table_orders,
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
                "simultaneous steps of 0.2 diverge, squared radius 1.0043",
                _radius("simultaneous", 0.09, 1.004324),
            ),
            Claim(
                "trace, simultaneous",
                "the modified flow of simultaneous updates has the trace +0.018 at e = 0.09: it diverges",
                _trace("simultaneous", 0.01838),
            ),
            Claim(
                "trace, alternating",
                "the modified flow of alternating updates has the trace -0.182 at e = 0.09: it converges",
                _trace("alternating", -0.181620),
            ),
            Claim(
                "determinants", "both determinants are positive, so that the traces decide", _determinants
            ),
            Claim(
                "cancelled",
                "steps with the interaction terms cancelled contract more",
                _cancelled_converges,
            ),
        ],
        compute=two_dimensional,
        draw=_draw_two,
        table=_table_flows,
    ),
    Figure(
        "dirac",
        "The Dirac GAN: simultaneous steps against their flows",
        [
            Claim("modified flow", "the modified flow follows the steps, the original does not", _nearer),
            Claim(
                "trace",
                "at the equilibrium the modified flow of simultaneous updates has a positive "
                "trace, h/4, and a positive determinant: they spiral away",
                _spirals,
            ),
        ],
        compute=dirac,
        draw=_draw_dirac,
        table=_table_flows,
    ),
]
