"""Discretisation Drift in Two-Player Games, ICML 2021: theory, digits and MNIST."""

from collections.abc import Callable

import numpy as np

from analysis.reproduce.findings import all_of, less, ranks
from analysis.reproduce.paper import Claim, Figure, Finding, Paper, Scale, Training, seeds
from analysis.reproduce.papers import drift_theory
from analysis.reproduce.pictures import bars
from analysis.reproduce.presets import POINTS, changed
from analysis.reproduce.results import Results
from configs import play

FRECHET = "eval/digits_cnn_frechet"
SCORE = "eval/digits_cnn_score"


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
        Scale.SMOKE: POINTS | more,
        Scale.LAPTOP: {"num_steps": 6_000, "eval_every": 0, "figures_every": 0, "checkpoint_every": 3_000}
        | more,
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
        "consensus": of(lambda gan: play.consensus(gan, 0.03)),
        "SGA": of(lambda gan: play.symplectic_regularizer(gan, 0.01)),
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
        return bars(
            {training: {label: results.last(training, label, metric) for label in labels}},
            "",
            "Frechet distance",
        )

    return draw


PAPER = Paper(
    "drift",
    "Discretisation drift in two-player games",
    "Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021.",
    "discretisation_drift.md",
    [
        *drift_theory.FIGURES,
        Figure(
            "digits",
            "Simultaneous SGD on digits, and Adam",
            [
                Claim(
                    "cancelling",
                    "cancelling the interaction terms improves SGD",
                    _digits("cancelled", "drift as it is"),
                ),
                Claim("stability", "and makes it more stable over seeds", _less_spread),
                Claim(
                    "doubling",
                    "strengthening them makes it worse than cancelling",
                    _digits("cancelled", "doubled"),
                ),
                Claim(
                    "Adam",
                    "SGD with cancelled drift comes near Adam (here: within twice its distance)",
                    _adam_no_better_than_twice,
                ),
            ],
            trainings={
                "digits": Training("gan/digits", DIGITS, seeds(5), _digits_settings(), evaluate=True),
                "adam": Training(
                    "gan/digits_adam", {"Adam": {}}, seeds(5), _digits_settings(), evaluate=True
                ),
            },
            draw=_draw_digits,
            table=_table_digits,
            notes="The paper's are CIFAR-10 and MNIST; digits are scikit-learn's, of 8x8 pixels.",
        ),
        Figure(
            "ratios",
            "Alternating updates: the discriminator's learning rate over the generator's",
            [
                Claim(
                    "0.5",
                    "a ratio of 0.5, where the second player's interaction drift vanishes, is best",
                    _half_is_best,
                )
            ],
            trainings={
                "digits": Training(
                    "gan/digits",
                    RATIOS,
                    seeds(2),
                    _digits_settings(
                        **changed("gan/digits", _multipliers(other_dot_prod=0.0)),
                        **{"gan.updates": "alternating"},
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
            trainings={
                "digits": Training("gan/digits", RIVALS, seeds(2), _digits_settings(), evaluate=True)
            },
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
                    seeds(2),
                    {
                        Scale.SMOKE: POINTS,
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
            notes="The generator has batch statistics: the published networks made no digits at any of 18 "
            "settings (docs/discretisation_drift.md).",
        ),
    ],
)
