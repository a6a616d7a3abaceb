"""ALI-G's second experiment: a differentiable neural computer repeats what it saw."""

from analysis.reproduce.paper import Claim, Figure, Finding, Scale, Training, seeds
from analysis.reproduce.results import Results
from analysis.reproduce.tables import of_methods

DNC = {
    (name, rate): {
        "dnc.optimizer.name": {"ALI-G": "alig", "Adam": "adam", "SGD": "sgd"}[name],
        "dnc.optimizer.learning_rate": rate,
        "dnc.optimizer.kwargs": {},
    }
    for name, rates in {
        "ALI-G": (1e-2, 1.0, 1e2, 1e4, 1e6),
        "Adam": (1e-4, 1e-3, 1e-2, 1e-1),
        "SGD": (1e-3, 1e-2, 1e-1, 1.0),
    }.items()
    for rate in rates
}


def _copies(results: Results) -> Finding:
    losses = {rate: results.last("dnc", ("ALI-G", rate), "test/loss") for rate in (1e2, 1e4, 1e6)}
    text = ", ".join(f"max_lr {rate:g}: {loss}" for rate, loss in losses.items())
    return Finding(text, all(loss.mean < 0.01 for loss in losses.values()))


def _others_fail_somewhere(results: Results) -> Finding:
    worst = {}
    for name in ("Adam", "SGD"):
        means = [results.last("dnc", label, "test/loss").mean for label in DNC if label[0] == name]
        worst[name] = max(float("inf") if m != m else m for m in means)
    text = ", ".join(f"{name} {value:.3g}" for name, value in worst.items())
    return Finding(f"largest loss over rates: {text}", min(worst.values()) > 0.05)


REPEAT_COPY = Figure(
    "dnc",
    "A differentiable neural computer repeats what it saw",
    [
        Claim("max_lr", "from 1e2 to 1e6 max_lr makes no difference: the task is solved", _copies),
        Claim("others", "other methods have rates at which they fail", _others_fail_somewhere),
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
    table=of_methods("dnc", {"held-out loss": "test/loss", "wrong bits": "test/bit_error"}),
)
