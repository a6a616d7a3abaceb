"""ALI-G's tables of CIFAR, SVHN and SNLI: runs for accelerators, with the claims on them."""

import numpy as np

from analysis.reproduce.paper import Claim, Figure, Finding, Scale, Training
from analysis.reproduce.presets import of_sweep
from analysis.reproduce.results import Mean, Results
from lib.sweeps import Overrides

OPTIMIZER, ACCURACY = "classifier.optimizer", "test/accuracy"


def value(accuracy: Mean) -> float:
    """Returns an accuracy, 0 of runs that diverged."""
    return accuracy.mean if np.isfinite(accuracy.mean) else 0.0


def _described(run: Overrides) -> str:
    """Returns a row of a table in words: its data set, network, loss and method, where it sets them."""
    fields = ("dataset.name", "classifier.model.name", "classifier.loss.name", f"{OPTIMIZER}.name")
    return ", ".join(str(run[field]) for field in fields if field in run)


def at_paper_scale(name: str, config: str, sweep: str, title: str) -> Figure:
    """Returns a figure of a sweep in configs/sweeps, every row of a table, that no laptop runs."""
    runs = of_sweep(sweep)
    of_method: dict[str, list[int]] = {}
    for label, run in runs.items():
        of_method.setdefault(run[f"{OPTIMIZER}.name"], []).append(label)

    def accuracies(results: Results) -> dict[str, float]:
        """Returns {method: mean accuracy over its rows}: networks, data sets and losses of the table."""
        return {
            method: float(np.mean([value(results.last(name, label, ACCURACY)) for label in labels]))
            for method, labels in of_method.items()
        }

    def best_of_adaptive(results: Results) -> Finding:
        means = accuracies(results)
        text = ", ".join(f"{method} {mean:.4f}" for method, mean in means.items())
        others = max(mean for method, mean in means.items() if method not in ("alig", "sgd"))
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
