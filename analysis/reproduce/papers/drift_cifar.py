"""Discretisation Drift in Two-Player Games, ICML 2021: the published CIFAR-10 runs, for accelerators."""

from analysis.reproduce.paper import Claim, Figure, Scale, Training
from analysis.reproduce.papers.drift_methods import (
    AS_IT_IS,
    CANCELLED,
    cancelling_is_best,
    nearer,
    rivals_help,
    table,
)
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


def _means(results: Results, metric: str = FRECHET) -> dict[str, Mean]:
    return {label: results.last(label, label, metric) for label in CONFIGS}


def _scores(results: Results) -> dict[str, Mean]:
    return _means(results, SCORE)


_ONLY = (Scale.PAPER,)
CIFAR = Figure(
    "cifar",
    "DCGAN on CIFAR-10 as published: SGD, cancelled, rivals, Adam",
    [
        Claim(
            "cancelling",
            "cancelling the interaction terms improves SGD",
            nearer(_means, CANCELLED, AS_IT_IS),
            _ONLY,
        ),
        Claim("rivals", "consensus, SGA and ODE-GAN improve on plain SGD too", rivals_help(_means), _ONLY),
        Claim(
            "rank",
            "cancelling is better than consensus, SGA and ODE-GAN",
            cancelling_is_best(_means),
            _ONLY,
        ),
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
    table=table(_scores, _means),
)
