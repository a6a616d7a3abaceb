"""Discretisation Drift in Two-Player Games, ICML 2021: local orders, small games, digits and MNIST."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from analysis import local_error
from analysis.reproduce.findings import all_of, less, near, ranks
from analysis.reproduce.paper import Claim, Figure, Finding, Paper, Scale, Training
from analysis.reproduce.pictures import bars
from analysis.reproduce.presets import changed
from analysis.reproduce.results import Results
from configs import play
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
FRECHET = "eval/digits_cnn_frechet"
SCORE = "eval/digits_cnn_score"


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
        "squared radius cancelled", radii["interaction_cancelled", 0.09], "as it is", radii["simultaneous", 0.09]
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


# Digits and MNIST.


def _multipliers(**terms: float) -> Callable:
    """Returns a change of a GAN's section: multipliers of the drift's terms, for both players."""

    def change(gan) -> None:
        for of_player in gan.grad_regularizes.dd_coeffs_multiplier.values():
            of_player.update(terms)

    return change


_INTERACTION = "other_dot_prod"
DIGITS = {
    "drift as it is": changed("gan/digits", _multipliers(other_dot_prod=0.0)),
    "cancelled": {},
    "doubled": changed("gan/digits", _multipliers(other_dot_prod=1.0)),
    "self terms doubled": changed("gan/digits", _multipliers(self_norm=1.0)),
}


def _frechet(results: Results, label: str, training: str = "digits"):
    return results.last(training, label, FRECHET)


def _digits(first: str, second: str, training: str = "digits") -> Callable[[Results], Finding]:
    """Returns a check that the first method has the smaller Frechet distance."""

    def check(results: Results) -> Finding:
        return less(first, _frechet(results, first), second, _frechet(results, second))

    return check


def _adam_no_better_than_twice(results: Results) -> Finding:
    adam, cancelled = _frechet(results, "Adam", "adam"), _frechet(results, "cancelled")
    return Finding(f"Adam {adam}, cancelled SGD {cancelled}", cancelled.mean < 2 * adam.mean)


def _less_spread(results: Results) -> Finding:
    spread = {x: float(np.std(_frechet(results, x).values)) for x in ("cancelled", "drift as it is")}
    return less("standard deviation cancelled", spread["cancelled"], "as it is", spread["drift as it is"])


def _draw_digits(results: Results):
    means = {label: _frechet(results, label) for label in DIGITS}
    means["Adam"] = _frechet(results, "Adam", "adam")
    return bars({"digits": means}, "", "Frechet distance")


def _table_digits(results: Results):
    rows = [("method", "score", "Frechet distance")]
    for label in DIGITS:
        rows.append((label, str(results.last("digits", label, SCORE)), str(_frechet(results, label))))
    adam = [str(results.last("adam", "Adam", metric)) for metric in (SCORE, FRECHET)]
    return [*rows, ("Adam, alternating", *adam)]


def _digits_settings(**more) -> dict[Scale, dict]:
    return {
        Scale.SMOKE: {"batch_size": 8, "eval_every": 0} | more,
        Scale.LAPTOP: {"num_steps": 6_000, "eval_every": 0, "figures_every": 0, "checkpoint_every": 3_000} | more,
        Scale.PAPER: more,
    }


def _ratio(disc: float, gen: float) -> dict:
    return {"gan.optimizers.disc.learning_rate": disc, "gan.optimizers.gen.learning_rate": gen}


RATIOS = {f"{disc / gen:g}": _ratio(disc, gen) for disc, gen in ((0.05, 0.1), (0.05, 0.05), (0.05, 0.02))}


def _half_is_best(results: Results) -> Finding:
    return ranks("0.5", {label: _frechet(results, label) for label in RATIOS}, 1)


def _rivals() -> dict:
    plain = _multipliers(other_dot_prod=0.0)

    def of(change: Callable) -> dict:
        def both(gan):
            plain(gan)
            change(gan)

        return changed("gan/digits", both)

    return {
        "SGD": changed("gan/digits", plain),
        "cancelled": {},
        "consensus": of(lambda gan: play.consensus(gan, 0.1)),
        "SGA": of(lambda gan: play.symplectic_regularizer(gan, 0.1)),
        "ODE-GAN": of(lambda gan: play.ode_gan(gan, 0.04)),
    }


RIVALS = _rivals()


def _all_beat_sgd(results: Results) -> Finding:
    sgd = _frechet(results, "SGD")
    return all_of(*(less(x, _frechet(results, x), "SGD", sgd) for x in RIVALS if x != "SGD"))


def _among_the_best(results: Results) -> Finding:
    return ranks("cancelled", {label: _frechet(results, label) for label in RIVALS}, 2)


MNIST = {
    "drift as it is": {},
    "cancelled": changed("gan/mnist_spectral_sgd", _multipliers(other_dot_prod=-1.0)),
}


def _mnist(results: Results) -> Finding:
    metric = "eval/mnist_cnn_frechet"
    cancelled, plain = (results.last("mnist", label, metric) for label in ("cancelled", "drift as it is"))
    return less("cancelled", cancelled, "drift as it is", plain)


def _draw_of(training: str, labels, metric: str) -> Callable:
    def draw(results: Results):
        return bars({training: {label: results.last(training, label, metric) for label in labels}}, "", "Frechet distance")

    return draw


def _seeds(laptop: int, paper: int = 5) -> dict[Scale, int]:
    return {Scale.SMOKE: 1, Scale.LAPTOP: laptop, Scale.PAPER: paper}


PAPER = Paper(
    "drift",
    "Discretisation drift in two-player games",
    "Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021.",
    "discretisation_drift.md",
    [
        Figure(
            "orders",
            "Order of one update's distance from its flows",
            [
                Claim("original", "O(h^2) from the original flow", _order("original flow", 2)),
                Claim("modified", "O(h^3) from the modified flow, both kinds of updates", _order("drift, shared", 3)),
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
                Claim("e = 0.2", "simultaneous steps of 0.2 converge, squared radius 0.9616", _radius("simultaneous", 0.2, 0.9616)),
                Claim("e = 0.09", "they diverge, squared radius 1.0043", _radius("simultaneous", 0.09, 1.004324)),
                Claim("trace, simultaneous", "the modified flow has the trace +0.018: it diverges", _trace("simultaneous", 0.01838)),
                Claim("trace, alternating", "and -0.182 of alternating updates", _trace("alternating", -0.181620)),
                Claim("determinants", "the determinants are positive: the traces decide", _determinants),
                Claim("cancelled", "steps with the interaction terms cancelled contract more", _cancelled_converges),
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
        Figure(
            "digits",
            "Simultaneous SGD on digits, and Adam",
            [
                Claim("cancelling", "cancelling the interaction terms improves SGD", _digits("cancelled", "drift as it is")),
                Claim("stability", "and makes it more stable over seeds", _less_spread),
                Claim("doubling", "strengthening them makes it worse than cancelling", _digits("cancelled", "doubled")),
                Claim("Adam", "SGD with cancelled drift comes near Adam (here: within twice its distance)", _adam_no_better_than_twice),
            ],
            trainings={
                "digits": Training("gan/digits", DIGITS, _seeds(5), _digits_settings(), evaluate=True),
                "adam": Training("gan/digits_adam", {"Adam": {}}, _seeds(5), _digits_settings(), evaluate=True),
            },
            draw=_draw_digits,
            table=_table_digits,
            notes="The paper's are CIFAR-10 and MNIST; digits are scikit-learn's, of 8x8 pixels.",
        ),
        Figure(
            "ratios",
            "Alternating updates: the discriminator's learning rate over the generator's",
            [Claim("0.5", "a ratio of 0.5, where the second player's interaction drift vanishes, is best", _half_is_best)],
            trainings={
                "digits": Training(
                    "gan/digits",
                    RATIOS,
                    _seeds(2),
                    _digits_settings(
                        **changed("gan/digits", _multipliers(other_dot_prod=0.0)), **{"gan.updates": "alternating"}
                    ),
                    evaluate=True,
                )
            },
            draw=_draw_of("digits", RATIOS, FRECHET),
        ),
        Figure(
            "rivals",
            "Consensus, SGA and ODE-GAN on the same task",
            [
                Claim("all help", "all of them improve on plain SGD", _all_beat_sgd),
                Claim("cancelling", "cancelling is among the two best", _among_the_best),
            ],
            trainings={"digits": Training("gan/digits", RIVALS, _seeds(2), _digits_settings(), evaluate=True)},
            draw=_draw_of("digits", RIVALS, FRECHET),
        ),
        Figure(
            "mnist",
            "Simultaneous SGD on MNIST",
            [Claim("cancelling", "cancelling the interaction terms improves SGD", _mnist)],
            trainings={
                "mnist": Training(
                    "gan/mnist_spectral_sgd",
                    MNIST,
                    _seeds(2),
                    {
                        Scale.SMOKE: {"batch_size": 8, "gan.nets.kwargs.width": 2, "dataset.train_split": "train[:100]"},
                        Scale.LAPTOP: {
                            "num_steps": 2_000,
                            "eval.num_samples": 2_000,
                            "eval.num_splits": 1,
                            "figures_every": 0,
                        },
                        Scale.PAPER: {"num_steps": 100_000},
                    },
                    evaluate=True,
                )
            },
            draw=_draw_of("mnist", MNIST, "eval/mnist_cnn_frechet"),
            notes="Networks with batch statistics in the generator: the published ones made no digits at any of "
            "18 settings (docs/discretisation_drift.md).",
        ),
    ],
)
