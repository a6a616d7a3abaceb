"""ALI-G's second experiment: a differentiable neural computer repeats what it saw."""

from collections.abc import Sequence

import numpy as np

from analysis.reproduce.paper import Claim, Figure, Finding, Scale, Training, seeds
from analysis.reproduce.pictures import curves
from analysis.reproduce.results import Results
from analysis.reproduce.tables import of_methods

RATES = {
    "ALI-G": (1.0, 1e2, 1e4, 1e6),
    "Adam": (1e-4, 1e-2, 1.0, 1e2),
    "SGD": (1e-2, 1.0, 1e2, 1e4),
}
SOLVED = 0.01  # held-out loss, in nats a sequence
DNC = {
    (name, rate): {
        "dnc.optimizer.name": {"ALI-G": "alig", "Adam": "adam", "SGD": "sgd"}[name],
        "dnc.optimizer.learning_rate": rate,
        "dnc.optimizer.kwargs": {},
    }
    for name, rates in RATES.items()
    for rate in rates
}


def _copies(results: Results) -> Finding:
    losses = {rate: results.last("dnc", ("ALI-G", rate), "test/loss") for rate in (1e2, 1e4, 1e6)}
    text = ", ".join(f"max_lr {rate:g}: {loss}" for rate, loss in losses.items())
    return Finding(f"held-out loss, {text}", all(loss.mean < SOLVED for loss in losses.values()))


def _widest_range(results: Results) -> Finding:
    """Compares the longest ranges of neighbouring rates that solve the task, each of six decades."""
    texts, decades = [], {}
    for name, rates in RATES.items():
        solved = [results.last("dnc", (name, r), "test/loss").mean < SOLVED for r in rates]
        first, last = _longest(solved)
        decades[name] = np.log10(rates[last] / rates[first]) if any(solved) else -1.0
        found = f"{rates[first]:g} to {rates[last]:g}" if any(solved) else "none"
        texts.append(f"{name} {found} of {rates[0]:g} to {rates[-1]:g}")
    holds = decades["ALI-G"] > max(decades["Adam"], decades["SGD"])
    return Finding(f"rates that solve the task: {'; '.join(texts)}", bool(holds))


def _longest(solved: Sequence[bool]) -> tuple[int, int]:
    """Returns (first, last) of the longest range of neighbours that are all true; (0, 0) of none."""
    n = len(solved)
    ranges = [(i, j) for i in range(n) for j in range(i, n) if all(solved[i : j + 1])]
    return max(ranges, key=lambda pair: pair[1] - pair[0], default=(0, 0))


def _draw(results: Results):
    lines = {
        name: {f"{rate:g}": results.curves("dnc", (name, rate), "test/loss") for rate in rates}
        for name, rates in RATES.items()
    }
    return curves(lines, "step", "held-out loss")


REPEAT_COPY = Figure(
    "dnc",
    "A differentiable neural computer repeats what it saw",
    [
        Claim("max_lr", "from 1e2 to 1e6 max_lr makes no difference: the task is solved", _copies),
        Claim(
            "others", "the range of rates that work is wider for ALI-G than for Adam and SGD", _widest_range
        ),
    ],
    trainings={
        "dnc": Training(
            "dnc/repeat_copy",
            DNC,
            seeds(1, 3),
            settings={
                Scale.SMOKE: {
                    "dnc.hidden": 4,
                    "dnc.slots": 2,
                    "dnc.width": 2,
                    "dnc.heads": 1,
                    "dnc.sequences": 4,
                    "batch_size": 2,
                },
                Scale.LAPTOP: {"num_steps": 5_000, "eval_every": 500, "figures_every": 0},
            },
        )
    },
    draw=_draw,
    table=of_methods("dnc", {"held-out loss": "test/loss", "wrong bits": "test/bit_error"}),
)
