"""Training Neural Networks for and by Interpolation, ICML 2020: ALI-G, its tuning, and its rivals."""

from collections.abc import Mapping, Sequence

from analysis.reproduce.paper import Claim, Figure, Finding, Paper, Scale, Training, seeds
from analysis.reproduce.papers.alig_dnc import REPEAT_COPY
from analysis.reproduce.papers.alig_tables import ACCURACY, OPTIMIZER, at_paper_scale, value
from analysis.reproduce.pictures import bars, curves
from analysis.reproduce.presets import DIGITS
from analysis.reproduce.results import Results
from analysis.reproduce.tables import of_methods
from configs.classifier.mnist_logreg import EPOCH

RATES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
NAMES = {
    "ALI-G": "alig",
    "SGD": "sgd",
    "Adam": "adam",
    "Adagrad": "adagrad",
    "AMSGrad": "amsgrad",
    "L4Adam": "l4_adam",
    "DFW": "dfw",
}
CIFAR_RATES = {
    "ALI-G": (0.01, 0.1, 1.0),
    "DFW": (0.1, 1.0, 10.0),
    "SGD": (1e-3, 1e-2, 1e-1),
    "Adam": (1e-4, 1e-3, 1e-2),
    "AMSGrad": (1e-4, 1e-3, 1e-2),
    "Adagrad": (1e-3, 1e-2, 1e-1),
    "L4Adam": (0.015, 0.15, 1.5),
}


def _method(name: str, rate: float) -> dict:
    method = {f"{OPTIMIZER}.name": NAMES[name], f"{OPTIMIZER}.learning_rate": rate}
    if name == "DFW":
        method |= {"classifier.loss.name": "hinge", "classifier.loss.kwargs.smooth": True}
    return method


MLP = {(name, rate): _method(name, rate) for name in NAMES for rate in RATES}


def _accuracies(results: Results, name: str, training: str, rates) -> dict:
    """Returns {rate: accuracy over seeds}, NaN where runs diverged."""
    return {rate: results.last(training, (name, rate), ACCURACY) for rate in rates}


def _large_rates_are_alike(results: Results) -> Finding:
    of = _accuracies(results, "ALI-G", "mlp", (1.0, 10.0, 100.0))
    text = ", ".join(f"{rate:g}: {mean}" for rate, mean in of.items())
    values = [value(mean) for mean in of.values()]
    return Finding(f"accuracy, {text}", min(values) > 0.94 and max(values) - min(values) < 0.01)


def _widest_range(results: Results) -> Finding:
    """Counts the rates whose accuracy is less than 2% under the best of all methods and rates."""
    of = {name: _accuracies(results, name, "mlp", RATES).values() for name in NAMES}
    best = max(value(mean) for means in of.values() for mean in means)
    counts = {name: sum(value(mean) > best - 0.02 for mean in means) for name, means in of.items()}
    others = max(count for name, count in counts.items() if name != "ALI-G")
    text = ", ".join(f"{name} {count} of {len(RATES)}" for name, count in counts.items())
    return Finding(f"rates within 2% of the best accuracy: {text}", counts["ALI-G"] > others)


def _as_good_as_the_best(results: Results) -> Finding:
    best = {name: max(map(value, _accuracies(results, name, "mlp", RATES).values())) for name in NAMES}
    text = ", ".join(f"{name} {of:.4f}" for name, of in best.items())
    return Finding(f"accuracy at the best rate: {text}", best["ALI-G"] > max(best.values()) - 0.01)


def _draw(training: str, rates_of: Mapping[str, Sequence[float]]):
    """Returns what draws test accuracies over {method: rates}."""

    def draw(results: Results):
        groups = {
            name: {f"{rate:g}": mean for rate, mean in _accuracies(results, name, training, rates).items()}
            for name, rates in rates_of.items()
        }
        return bars(groups, "max_lr, or rate", "test accuracy")

    return draw


def _table_mlp(results: Results):
    rows = [("method", *(f"{rate:g}" for rate in RATES))]
    for name in NAMES:
        rows.append((name, *map(str, _accuracies(results, name, "mlp", RATES).values())))
    return rows


def _cifar_method(name: str, rate: float) -> dict:
    momentum = {f"{OPTIMIZER}.kwargs.momentum": 0.9} if name in ("ALI-G", "SGD") else {}  # as in the paper
    return _method(name, rate) | momentum


CIFAR = {(name, rate): _cifar_method(name, rate) for name, rates in CIFAR_RATES.items() for rate in rates}


def _cifar_best(results: Results, name: str):
    means = _accuracies(results, name, "cifar", CIFAR_RATES[name]).values()
    return max(means, key=value)


def _competitive(results: Results) -> Finding:
    best = {name: _cifar_best(results, name) for name in CIFAR_RATES}
    text = ", ".join(f"{name} {mean}" for name, mean in best.items())
    adaptive = max(value(mean) for name, mean in best.items() if name not in ("ALI-G", "SGD"))
    return Finding(f"accuracy at the best rate: {text}", value(best["ALI-G"]) > adaptive - 0.02)


def _cifar_robust(results: Results) -> Finding:
    """Compares the accuracy at the worst of a method's rates, which span two decades."""
    worst = {
        name: min(map(value, _accuracies(results, name, "cifar", rates).values()))
        for name, rates in CIFAR_RATES.items()
    }
    text = ", ".join(f"{name} {of:.3f}" for name, of in worst.items())
    others = max(of for name, of in worst.items() if name != "ALI-G")
    return Finding(f"accuracy at the worst rate of two decades: {text}", worst["ALI-G"] > others)


SCHEDULED = {
    "ALI-G": {
        f"{OPTIMIZER}.name": "alig",
        f"{OPTIMIZER}.learning_rate": 1.0,
        f"{OPTIMIZER}.kwargs": {},
    },
    "SGD with a schedule": {
        f"{OPTIMIZER}.name": "sgd",
        f"{OPTIMIZER}.learning_rate": 0.05,
        f"{OPTIMIZER}.kwargs": {"momentum": 0.9, "nesterov": True},
        f"{OPTIMIZER}.schedule.name": "piecewise_constant_schedule",
        f"{OPTIMIZER}.schedule.kwargs": {"boundaries_and_scales": ((703, 0.2), (1054, 0.2))},
    },
}


def _near_the_schedule(results: Results) -> Finding:
    alig, sgd = (results.last("mlp", label, ACCURACY) for label in SCHEDULED)
    return Finding(f"accuracy of ALI-G {alig}, of SGD {sgd}", alig.mean > sgd.mean - 0.01)


def _draw_schedule(results: Results):
    panels = {"learning rate": "train/model_learning_rate", "held-out loss": "test/loss"}
    lines = {t: {x: results.curves("mlp", x, m) for x in SCHEDULED} for t, m in panels.items()}
    return curves(lines, "step", "")


_SMOKE = DIGITS | {"epoch_means": False}


PAPER = Paper(
    "alig",
    "ALI-G",
    "Berrada, Zisserman, Kumar, 'Training Neural Networks for and by Interpolation', ICML 2020.",
    "alig.md",
    [
        Figure(
            "mlp",
            "Test accuracy against max_lr, or rate: MLP on MNIST, one epoch",
            [
                Claim("max_lr", "max_lr does not matter where it is large enough", _large_rates_are_alike),
                Claim("range", "ALI-G has the widest range of rates that work", _widest_range),
                Claim(
                    "best",
                    "ALI-G is as good as the others at their best (here: within 1%)",
                    _as_good_as_the_best,
                ),
            ],
            trainings={
                "mlp": Training(
                    "classifier/mnist_mlp",
                    MLP,
                    seeds(1, 3),
                    settings={
                        Scale.SMOKE: _SMOKE
                        | {"classifier.model.kwargs.hidden": "(4,)", "classifier.l2": 0.0},
                        Scale.LAPTOP: {
                            "num_steps": EPOCH,
                            "checkpoint_every": EPOCH,
                            "keep_checkpoints": 1,
                            "classifier.l2": 0.0,
                        },
                        Scale.PAPER: {"num_steps": 20 * EPOCH, "classifier.l2": 0.0},
                    },
                )
            },
            draw=_draw("mlp", dict.fromkeys(NAMES, RATES)),
            table=_table_mlp,
        ),
        Figure(
            "cifar",
            "Small CNN on 4,000 images of CIFAR-10, three epochs",
            [
                Claim(
                    "competitive",
                    "ALI-G is as good as the adaptive methods (here: within 2%)",
                    _competitive,
                ),
                Claim(
                    "robust",
                    "ALI-G depends least on its rate: at its worst one it is better than the "
                    "others at theirs",
                    _cifar_robust,
                ),
            ],
            trainings={
                "cifar": Training(
                    "classifier/cifar10",
                    CIFAR,
                    seeds(1, 3),
                    settings={
                        Scale.SMOKE: _SMOKE
                        | {"classifier.model.kwargs": "{'channels': (2,), 'hidden': 4}"},
                        **{
                            scale: {
                                "num_steps": 93,
                                "eval_every": 93,
                                "log_every": 31,
                                "checkpoint_every": 93,
                                "keep_checkpoints": 1,
                                "dataset.train_split": "train[:4000]",
                                "classifier.model.kwargs.channels": "(16, 32, 64)",
                                "classifier.model.kwargs.dropout": 0.0,
                            }
                            for scale in (Scale.LAPTOP, Scale.PAPER)
                        },
                    },
                )
            },
            draw=_draw("cifar", CIFAR_RATES),
            table=of_methods("cifar", {"training loss": "train/model_loss", "accuracy": ACCURACY}),
            notes="Without dropout, so that the network could interpolate, as ALI-G assumes. With "
            "twice the channels, a dropout of 0.25 and no momentum ALI-G reached 0.394 at its "
            "best, L4Adam 0.502 and Adam 0.467 (one seed); without dropout 0.415 (max_lr 0.1), and "
            "0.474 with the paper's momentum of 0.9.",
        ),
        Figure(
            "schedule",
            "ALI-G against SGD with a schedule made by hand: MLP on MNIST, three epochs",
            [Claim("schedule", "ALI-G comes within 1% of SGD with a schedule", _near_the_schedule)],
            trainings={
                "mlp": Training(
                    "classifier/mnist_mlp",
                    SCHEDULED,
                    seeds(3, 3),
                    settings={
                        Scale.SMOKE: _SMOKE | {"classifier.model.kwargs.hidden": "(4,)"},
                        **{
                            scale: {
                                "num_steps": 1407,
                                "checkpoint_every": 1407,
                                "keep_checkpoints": 1,
                                "classifier.l2": 0.0,
                            }
                            for scale in (Scale.LAPTOP, Scale.PAPER)
                        },
                    },
                )
            },
            draw=_draw_schedule,
            table=of_methods("mlp", {"held-out loss": "test/loss", "accuracy": ACCURACY}),
            notes="ALI-G without momentum, max_lr 1. With a momentum of 0.9, which the paper uses for "
            "larger networks, it reached 0.946 here (three seeds).",
        ),
        REPEAT_COPY,
        at_paper_scale(
            "wrn_densenet",
            "classifier/cifar10_wrn",
            "alig_cifar",
            "CIFAR-10 and CIFAR-100: wide ResNet and DenseNet, eight methods",
        ),
        at_paper_scale("svhn", "classifier/svhn_wrn", "alig_svhn", "SVHN: wide ResNet 16-4"),
        at_paper_scale("snli", "classifier/snli", "alig_snli", "SNLI: a bidirectional LSTM"),
    ],
)
