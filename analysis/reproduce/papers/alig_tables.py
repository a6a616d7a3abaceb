"""ALI-G's tables of CIFAR, SVHN and SNLI: runs for accelerators, with the claims on them."""

import numpy as np

from analysis.reproduce.paper import Claim, Figure, Finding, Scale, Training
from analysis.reproduce.presets import of_sweep
from analysis.reproduce.results import Results
from lib.sweeps import Overrides

_OPTIMIZER, ACCURACY = "classifier.optimizer", "test/accuracy"


def _accuracy(results: Results, training: str, label: int) -> float:
    """Returns a run's accuracy, 0 where it diverged."""
    return float(np.nan_to_num(results.last(training, label, ACCURACY).mean))


def _described(run: Overrides) -> str:
    """Returns a row of a table in words: its data set, network, loss and method, where it sets them."""
    fields = ("dataset.name", "classifier.model.name", "classifier.loss.name", f"{_OPTIMIZER}.name")
    return ", ".join(str(run[field]) for field in fields if field in run)


def at_paper_scale(name: str, config: str, sweep: str, title: str) -> Figure:
    """Returns a figure of a sweep in configs/sweeps, every row of a table, that no laptop runs."""
    runs = of_sweep(sweep)
    of_method: dict[str, list[int]] = {}
    for label, run in runs.items():
        of_method.setdefault(run[f"{_OPTIMIZER}.name"], []).append(label)

    def accuracies(results: Results) -> dict[str, float]:
        """Returns {method: mean accuracy over its rows}: networks, data sets and losses of the table."""
        return {
            method: float(np.mean([_accuracy(results, name, label) for label in labels]))
            for method, labels in of_method.items()
        }

    def best_of_adaptive(results: Results) -> Finding:
        means = accuracies(results)
        text = ", ".join(f"{method} {value:.4f}" for method, value in means.items())
        others = max(value for method, value in means.items() if method not in ("alig", "sgd"))
        return Finding(f"mean accuracy over the table's rows: {text}", means["alig"] > others)

    def near_sgd(results: Results) -> Finding:
        means = accuracies(results)
        text = f"mean accuracy over the table's rows: alig {means['alig']:.4f}, sgd {means['sgd']:.4f}"
        return Finding(text, means["alig"] > means["sgd"] - 0.01)

    def table(results: Results) -> list[tuple[str, ...]]:
        rows = [("run", "accuracy")]
        for label, run in runs.items():
            rows.append((_described(run), str(results.last(name, label, ACCURACY))))
        return rows

    claims = [
        Claim("adaptive", "ALI-G is the best of the adaptive methods", best_of_adaptive, (Scale.PAPER,))
    ]
    if "sgd" in of_method:
        text = "ALI-G comes near SGD with its schedule (here: within 1%)"
        claims.append(Claim("SGD", text, near_sgd, (Scale.PAPER,)))
    return Figure(name, title, claims, {name: Training(config, runs, {Scale.PAPER: 1})}, table=table)
