"""Online Learning Rate Adaptation with Hypergradient Descent, ICLR 2018: six methods, and their grids."""

import numpy as np

from analysis.reproduce.findings import less
from analysis.reproduce.paper import Claim, Figure, Finding, Paper, Scale, Training
from analysis.reproduce.papers.hypergradient_grid import (
    GRID,
    HELD_OUT,
    LOSS,
    METHODS,
    OPTIMIZER,
    RATE,
    SMOKE,
    method,
)
from analysis.reproduce.pictures import curves
from analysis.reproduce.results import Curve, Results, mean_of
from analysis.reproduce.tables import of_methods
from configs.classifier.mnist_logreg import EPOCH

# The authors' own last losses, results/logreg/*/*.csv of their code.
PUBLISHED = {
    "SGD": 0.3737,
    "SGD-HD": 0.2878,
    "SGDN": 0.2846,
    "SGDN-HD": 0.2719,
    "Adam": 0.2719,
    "Adam-HD": 0.2723,
}
ADAPTIVE = ("SGD-HD", "SGDN-HD", "Adam-HD")
FROM_NOTHING = {f"{name}, 0": METHODS[name] | {f"{OPTIMIZER}.learning_rate": 0.0} for name in ADAPTIVE}


def _held_out(results: Results, label: str, training: str = "six"):
    return results.last(training, label, HELD_OUT)


def _ahead(base: str, training: str = "six"):
    """Returns a check that a method's last held-out loss is lower with hypergradients than without."""

    def check(results: Results) -> Finding:
        adaptive, plain = (_held_out(results, label, training) for label in (f"{base}-HD", base))
        return less(f"held-out loss of {base}-HD", adaptive, f"of {base}", plain)

    return check


def _ahead_early(base: str, training: str):
    """Returns a check that the mean training loss of the first epoch is lower with hypergradients."""

    def check(results: Results) -> Finding:
        adaptive, plain = (
            mean_of(np.array([_first_epoch(curve) for curve in results.curves(training, label, LOSS)]))
            for label in (f"{base}-HD", base)
        )
        return less(f"training loss in the first epoch of {base}-HD", adaptive, f"of {base}", plain)

    return check


def _first_epoch(curve: Curve) -> float:
    return float(curve.values[curve.steps <= EPOCH].mean())


def _published(results: Results) -> Finding:
    errors = {x: abs(_held_out(results, x).mean / number - 1) for x, number in PUBLISHED.items()}
    text = ", ".join(f"{x} {_held_out(results, x).mean:.4f} ({PUBLISHED[x]})" for x in PUBLISHED)
    return Finding(f"ours (published): {text}", all(error < 0.02 for error in errors.values()))


def _rises_and_falls(results: Results) -> Finding:
    found = []
    for label in ("SGD-HD", "SGDN-HD"):
        for curve in results.curves("six", label, RATE):
            peak = int(curve.values.argmax())
            found.append(
                (curve.values[peak] > 3 * curve.values[0], curve.values[-1] < curve.values[peak] / 3)
            )
    rises, falls = (sum(side) for side in zip(*found, strict=True))
    text = f"rates rise threefold in {rises}, and fall again to a third in {falls}, of {len(found)} runs"
    return Finding(text, rises == falls == len(found))


def _from_nothing(results: Results) -> Finding:
    losses = {x: (_held_out(results, f"{x}, 0"), _held_out(results, x)) for x in ADAPTIVE}
    errors = [abs(zero.mean / usual.mean - 1) for zero, usual in losses.values()]
    text = "; ".join(f"{x} from 0 {zero}, from 1e-3 {usual}" for x, (zero, usual) in losses.items())
    return Finding(f"held-out loss: {text}", all(error < 0.03 for error in errors))


def _draw(training: str):
    """Returns what draws learning rates and losses of the six methods."""
    panels = {"learning rate": RATE, "training loss": LOSS, "held-out loss": HELD_OUT}

    def draw(results: Results):
        lines = {
            title: {x: results.curves(training, x, metric) for x in METHODS}
            for title, metric in panels.items()
        }
        return curves(lines, "step", "")

    return draw


def _table_six(results: Results):
    rows = [("method", "last rate", "held-out loss", "published", "accuracy")]
    for label in (*METHODS, *FROM_NOTHING):
        rows.append(
            (
                label,
                str(results.last("six", label, RATE)),
                str(_held_out(results, label)),
                str(PUBLISHED.get(label, "")),
                str(results.last("six", label, "test/accuracy")),
            )
        )
    return rows


def _table_of(training: str):
    columns = {
        "last rate": RATE,
        "training loss": LOSS,
        "held-out loss": HELD_OUT,
        "accuracy": "test/accuracy",
    }
    return of_methods(training, columns)


_ALL = {Scale.SMOKE: 1, Scale.LAPTOP: 3, Scale.PAPER: 5}

PAPER = Paper(
    "hypergradient",
    "Hypergradient descent",
    "Baydin, Cornish, Martinez Rubio, Schmidt, Wood, 'Online Learning Rate Adaptation with Hypergradient "
    "Descent', ICLR 2018.",
    "hypergradient.md",
    [
        Figure(
            "logreg",
            "Logistic regression on MNIST, 10 epochs: learning rates and losses of six methods,"
            " and from a first rate of 0",
            [
                Claim("SGD-HD", "SGD-HD is ahead of SGD", _ahead("SGD")),
                Claim("SGDN-HD", "SGDN-HD is ahead of SGDN", _ahead("SGDN")),
                Claim("published", "the authors' own last held-out losses (here: within 2%)", _published),
                Claim(
                    "rates",
                    "learning rates that begin at 1e-3 rise at first, and fall again",
                    _rises_and_falls,
                ),
                Claim(
                    "from nothing",
                    "a first rate of 0 ends at the same loss (here: within 3%)",
                    _from_nothing,
                ),
            ],
            trainings={
                "six": Training(
                    "classifier/mnist_logreg", METHODS | FROM_NOTHING, _ALL, settings={Scale.SMOKE: SMOKE}
                )
            },
            draw=_draw("six"),
            table=_table_six,
        ),
        Figure(
            "mlp",
            "MLP on MNIST: learning rates and losses of six methods",
            [
                Claim("SGD-HD", "SGD-HD is ahead of SGD", _ahead("SGD", "mlp")),
                Claim("SGDN-HD", "SGDN-HD is ahead of SGDN early", _ahead_early("SGDN", "mlp")),
                Claim("Adam-HD", "Adam-HD is ahead of Adam", _ahead("Adam", "mlp")),
            ],
            trainings={
                "mlp": Training(
                    "classifier/mnist_mlp",
                    METHODS,
                    {Scale.SMOKE: 1, Scale.LAPTOP: 1, Scale.PAPER: 3},
                    settings={
                        Scale.SMOKE: SMOKE | {"classifier.model.kwargs.hidden": "(4,)"},
                        Scale.LAPTOP: {"num_epochs": 6.0, "keep_checkpoints": 1},
                        Scale.PAPER: {"num_epochs": 100.0},
                    },
                )
            },
            draw=_draw("mlp"),
            table=_table_of("mlp"),
            notes="6 epochs at the laptop's scale; the paper's are 100.",
        ),
        GRID,
        Figure(
            "vgg",
            "VGG-16 on CIFAR-10, 100 epochs",
            [
                Claim("SGD-HD", "SGD-HD is ahead of SGD", _ahead("SGD", "vgg"), (Scale.PAPER,)),
                Claim("SGDN-HD", "SGDN-HD is ahead of SGDN", _ahead("SGDN", "vgg"), (Scale.PAPER,)),
            ],
            trainings={
                "vgg": Training(
                    "classifier/cifar10_vgg",
                    METHODS | {"Adam-HD": method("adam_hd", kwargs__beta=1e-8)},
                    {Scale.PAPER: 3},
                    settings={Scale.PAPER: {"num_epochs": 100.0}},
                )
            },
            draw=_draw("vgg"),
            table=_table_of("vgg"),
        ),
    ],
)
