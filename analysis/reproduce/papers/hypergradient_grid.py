"""Hypergradient descent: its six methods, and the grid of first rates and betas of each."""

import numpy as np

from analysis.reproduce.paper import Claim, Figure, Finding, Scale, Training
from analysis.reproduce.presets import DIGITS
from analysis.reproduce.results import Results
from lib.pictures.figures import new_figure

OPTIMIZER = "classifier.optimizer"
LOSS, RATE, HELD_OUT = "train/model_loss", "train/model_learning_rate", "test/loss"


def method(name: str, **fields) -> dict:
    """Returns overrides of an optimiser; two underscores stand for a dot in a field's name."""
    return {f"{OPTIMIZER}.name": name} | {
        f"{OPTIMIZER}.{field.replace('__', '.')}": value for field, value in fields.items()
    }


METHODS = {
    "SGD": method("sgd"),
    "SGD-HD": method("sgd_hd", kwargs__beta=1e-3),
    "SGDN": method("sgd", kwargs__momentum=0.9, kwargs__nesterov=True),
    "SGDN-HD": method("sgdn_hd", kwargs__momentum=0.9, kwargs__beta=1e-3),
    "Adam": method("adam"),
    "Adam-HD": method("adam_hd", kwargs__beta=1e-7),
}
SMOKE = DIGITS | {"epoch_means": False}
ALPHAS = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
BETAS = {
    "SGD-HD": (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2),
    "SGDN-HD": (0.0, 1e-6, 1e-5, 1e-4, 1e-3),
    "Adam-HD": (0.0, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5),
}
POINTS = {
    (name, alpha, beta): METHODS[name]
    | {f"{OPTIMIZER}.learning_rate": alpha, f"{OPTIMIZER}.kwargs.beta": beta}
    for name, betas in BETAS.items()
    for alpha in ALPHAS
    for beta in betas
    if alpha or beta
}
THRESHOLD = 0.4  # of the training loss


def steps_to_threshold(results: Results) -> dict[str, np.ndarray]:
    """Returns {method: [betas, alphas], the first step with a training loss of THRESHOLD or less}."""
    found = {}
    for name, betas in BETAS.items():
        table = np.full((len(betas), len(ALPHAS)), np.inf)
        for i, beta in enumerate(betas):
            for j, alpha in enumerate(ALPHAS):
                if not (alpha or beta):
                    continue
                (curve, *_) = results.curves("grid", (name, alpha, beta), LOSS)
                reached = curve.steps[curve.values <= THRESHOLD]
                table[i, j] = reached[0] if len(reached) else np.inf
        found[name] = table
    return found


def _first_rate_matters_less(name: str):
    """Returns a check that with the best beta more first rates reach the threshold than without any."""

    def check(results: Results) -> Finding:
        reached = np.isfinite(results.computed[name][:, 1:])  # alpha_0 = beta = 0 is not run
        without, counts = reached[0].sum(), reached[1:].sum(1)
        best = BETAS[name][1 + int(counts.argmax())]
        reach = f"{counts.max()} of {len(ALPHAS) - 1} first rates reach {THRESHOLD}"
        ours = f"beta {best:g}: {reach}, beta 0: {without}"
        return Finding(ours, bool(counts.max() > without))

    return check


def _zero_works(results: Results) -> Finding:
    found = {m: float(results.computed[m][1:, 0].min()) for m in BETAS}
    text = ", ".join(
        f"{m} {value:.0f} steps" if np.isfinite(value) else f"{m} never" for m, value in found.items()
    )
    return Finding(f"until {THRESHOLD}: {text}", all(np.isfinite(list(found.values()))))


def _draw_grid(results: Results):
    figure = new_figure(1.0 + 3.6 * len(BETAS), 3.4)
    axes = figure.subplots(1, len(BETAS), squeeze=False)[0]
    for axis, (name, table) in zip(axes, results.computed.items(), strict=True):
        mesh = axis.imshow(
            np.ma.masked_invalid(table), origin="lower", aspect="auto", cmap="viridis_r", vmin=0, vmax=469
        )
        axis.set_xticks(range(len(ALPHAS)), [f"{alpha:g}" for alpha in ALPHAS], rotation=30)
        axis.set_yticks(range(len(BETAS[name])), [f"{beta:g}" for beta in BETAS[name]])
        axis.set(xlabel="alpha_0", ylabel="beta", title=name, facecolor="0.85")
    figure.colorbar(mesh, ax=list(axes), label=f"steps to a training loss of {THRESHOLD}")
    return figure


GRID = Figure(
    "grid",
    "Steps until a training loss of 0.4 over alpha_0 and beta, logistic regression",
    [
        *(
            Claim(
                name,
                f"with {name} at its best beta the first rate matters less than with a beta of 0",
                _first_rate_matters_less(name),
            )
            for name in BETAS
        ),
        Claim("alpha_0 = 0", "a first rate of 0 works with every method", _zero_works),
    ],
    trainings={
        "grid": Training(
            "classifier/mnist_logreg",
            POINTS,
            {Scale.SMOKE: 1, Scale.LAPTOP: 1, Scale.PAPER: 1},
            settings={
                Scale.SMOKE: SMOKE,
                Scale.LAPTOP: {
                    "num_steps": 469,
                    "log_every": 7,
                    "eval_every": 469,
                    "checkpoint_every": 469,
                },
                Scale.PAPER: {"num_steps": 469, "log_every": 7},
            },
        )
    },
    compute=steps_to_threshold,
    draw=_draw_grid,
    notes="The threshold, and one epoch to reach it in, are ours; a run that does not reach it is grey.",
)
