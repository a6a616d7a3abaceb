"""On a Continuous Time Model of Gradient Descent, TMLR 2023: drift-adjusted learning rates."""

import numpy as np

from analysis.reproduce.findings import above, less
from analysis.reproduce.paper import Claim, Figure, Finding, Scale, Training
from analysis.reproduce.pictures import curves
from analysis.reproduce.presets import DIGITS
from analysis.reproduce.results import Results
from analysis.reproduce.tables import of_methods

_P = "classifier.optimizer.kwargs.p"
METHODS = {p: {_P: p} for p in (0.0, 0.25, 0.5, 1.0)}


def _diverged(results: Results, p: float) -> int:
    """Counts the seeds with which DAL-p diverges."""
    return int((~np.isfinite(results.last("mnist", p, "test/loss").values)).sum())


def _trains(training: str, least: float):
    """Returns a check that DAL-1 reaches an accuracy."""
    return lambda results: above("accuracy", results.last(training, 1.0, "test/accuracy"), least)


def _sgd_diverges(results: Results) -> Finding:
    count = len(results.runs("mnist", 1.0))
    sgd, dal = _diverged(results, 0.0), _diverged(results, 1.0)
    return Finding(f"seeds that diverge: SGD {sgd} of {count}, DAL-1 {dal}", sgd == count and not dal)


def _smaller_p_is_less_stable(results: Results) -> Finding:
    counts = [_diverged(results, p) for p in METHODS]
    text = ", ".join(f"p = {p:g} {count}" for p, count in zip(METHODS, counts, strict=True))
    holds = counts == sorted(counts, reverse=True) and counts[0] > counts[-1]
    return Finding(f"seeds that diverge: {text}", holds)


def _smaller_rates(results: Results) -> Finding:
    half, one = (results.last("mnist", p, "train/model_learning_rate") for p in (0.5, 1.0))
    return less("last rate of p = 1", one, "of p = 0.5", half)


def _draw_dal(results: Results):
    trained = [p for p in METHODS if not _diverged(results, p)]
    return curves(
        {
            title: {f"p = {p:g}": results.curves("mnist", p, metric) for p in trained}
            for title, metric in (
                ("learning rate", "train/model_learning_rate"),
                ("held-out loss", "test/loss"),
            )
        },
        "step",
        "",
    )


_ONLY = (Scale.PAPER,)
_COLUMNS = {
    "last rate": "train/model_learning_rate",
    "held-out loss": "test/loss",
    "accuracy": "test/accuracy",
}

DAL = Figure(
    "dal",
    "DAL-p on MNIST, base rate 2",
    [
        Claim("stability", "SGD at DAL's base rate diverges, DAL-1 does not", _sgd_diverges),
        Claim("no tuning", "DAL-1 trains without a rate that was tuned", _trains("mnist", 0.95)),
        Claim("p", "DAL-p is the less stable the smaller p is", _smaller_p_is_less_stable),
        Claim("rates", "learning rates are larger with p = 0.5 than with 1", _smaller_rates),
    ],
    trainings={
        "mnist": Training(
            "classifier/mnist_dal",
            METHODS,
            {Scale.SMOKE: 1, Scale.LAPTOP: 2, Scale.PAPER: 3},
            settings={
                Scale.SMOKE: DIGITS | {"classifier.model.kwargs.hidden": "(4,)"},
                Scale.LAPTOP: {"num_steps": 938, "eval_every": 469, "checkpoint_every": 938},
            },
        )
    },
    draw=_draw_dal,
    table=of_methods("mnist", _COLUMNS, head="p"),
    notes="The paper's are VGG and ResNet-18 on CIFAR-10 and ImageNet.",
)

DAL_RESNET = Figure(
    "dal_resnet",
    "DAL-p on CIFAR-10 with ResNet-18, base rate 2",
    [
        Claim(
            "no tuning",
            "DAL-1 trains without a rate that was tuned",
            _trains("resnet", 0.85),
            _ONLY,
        ),
    ],
    trainings={
        "resnet": Training("classifier/cifar10_resnet_dal", METHODS, {Scale.PAPER: 3}),
    },
    table=of_methods("resnet", _COLUMNS, head="p"),
)
