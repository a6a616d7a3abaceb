"""Discretisation Drift in Two-Player Games, ICML 2021: the published CIFAR-10 runs, for accelerators."""

from analysis.reproduce.findings import all_of, less, ranks
from analysis.reproduce.paper import Claim, Figure, Finding, Scale, Training
from analysis.reproduce.pictures import bars
from analysis.reproduce.results import Mean, Results

FRECHET, SCORE = "eval/cifar10_cnn_frechet", "eval/cifar10_cnn_score"
CONFIGS = {
    "drift as it is": "cifar10_plain",
    "cancelled": "cifar10_sgd",
    "cancelled, self terms doubled": "cifar10_strong_self",
    "alternating": "cifar10_alternating",
    "consensus": "cifar10_consensus",
    "SGA": "cifar10_sga",
    "ODE-GAN": "cifar10_ode_gan",
    "Adam": "cifar10_adam",
}
RIVALS = ("consensus", "SGA", "ODE-GAN")


def _means(results: Results, metric: str = FRECHET) -> dict[str, Mean]:
    return {label: results.last(label, label, metric) for label in CONFIGS}


def _cancelling(results: Results) -> Finding:
    means = _means(results)
    return less("distance cancelled", means["cancelled"], "drift as it is", means["drift as it is"])


def _rivals(results: Results) -> Finding:
    means = _means(results)
    return all_of(*(less(x, means[x], "drift as it is", means["drift as it is"]) for x in RIVALS))


def _rank(results: Results) -> Finding:
    means = _means(results)
    return ranks("cancelled", {label: means[label] for label in ("cancelled", *RIVALS)}, 1)


def _table(results: Results) -> list[tuple[str, ...]]:
    scores, distances = _means(results, SCORE), _means(results)
    return [
        ("method", "score", "Frechet distance"),
        *((label, str(scores[label]), str(distances[label])) for label in CONFIGS),
    ]


_ONLY = (Scale.PAPER,)
CIFAR = Figure(
    "cifar",
    "DCGAN on CIFAR-10 as published: SGD, cancelled, rivals, Adam",
    [
        Claim("cancelling", "cancelling the interaction terms improves SGD", _cancelling, _ONLY),
        Claim("rivals", "consensus, SGA and ODE-GAN improve on plain SGD too", _rivals, _ONLY),
        Claim("rank", "cancelling is better than consensus, SGA and ODE-GAN", _rank, _ONLY),
    ],
    trainings={
        label: Training(
            f"gan/{config}",
            {label: {}},
            {Scale.PAPER: 5},
            # Inception's weights are to be had by hand alone: docs/evaluation.md.
            settings={Scale.PAPER: {"eval.network": "checkpoint"}},
            evaluate=True,
        )
        for label, config in CONFIGS.items()
    },
    draw=lambda results: bars({"CIFAR-10": _means(results)}, "", "Frechet distance"),
    table=_table,
)
