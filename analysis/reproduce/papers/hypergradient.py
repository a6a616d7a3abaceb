"""Online Learning Rate Adaptation with Hypergradient Descent, ICLR 2018: six methods, and their grids."""

import numpy as np

from analysis.reproduce.findings import above, all_of, below, less
from analysis.reproduce.paper import Claim, Figure, Finding, Paper, Scale, Training
from analysis.reproduce.pictures import curves
from analysis.reproduce.results import Results
from lib.pictures.figures import new_figure

_OPTIMIZER = "classifier.optimizer"
LOSS, RATE, HELD_OUT = "train/model_loss", "train/model_learning_rate", "test/loss"


def _method(name: str, **fields) -> dict:
    """Returns overrides of an optimiser; fields with dots in their names are written with two underscores."""
    return {f"{_OPTIMIZER}.name": name} | {
        f"{_OPTIMIZER}.{field.replace('__', '.')}": value for field, value in fields.items()
    }


METHODS = {
    "SGD": _method("sgd"),
    "SGD-HD": _method("sgd_hd", kwargs__beta=1e-3),
    "SGDN": _method("sgd", kwargs__momentum=0.9, kwargs__nesterov=True),
    "SGDN-HD": _method("sgdn_hd", kwargs__momentum=0.9, kwargs__beta=1e-3),
    "Adam": _method("adam"),
    "Adam-HD": _method("adam_hd", kwargs__beta=1e-7),
}
# The authors' own last losses, results/logreg/*/*.csv of their code.
PUBLISHED = {"SGD": 0.3737, "SGD-HD": 0.2878, "SGDN": 0.2846, "SGDN-HD": 0.2719, "Adam": 0.2719, "Adam-HD": 0.2723}
FROM_NOTHING = {
    "SGD-HD, 0": METHODS["SGD-HD"] | {f"{_OPTIMIZER}.learning_rate": 0.0},
    "SGDN-HD, 0": METHODS["SGDN-HD"] | {f"{_OPTIMIZER}.learning_rate": 0.0},
    "Adam-HD, 0": METHODS["Adam-HD"] | {f"{_OPTIMIZER}.learning_rate": 0.0},
}
ALPHAS = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
BETAS = {"SGD-HD": (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2), "SGDN-HD": (0.0, 1e-6, 1e-5, 1e-4, 1e-3), "Adam-HD": (0.0, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5)}
GRID = {
    (method, alpha, beta): METHODS[method] | {f"{_OPTIMIZER}.learning_rate": alpha, f"{_OPTIMIZER}.kwargs.beta": beta}
    for method, betas in BETAS.items()
    for alpha in ALPHAS
    for beta in betas
    if alpha or beta
}
THRESHOLD = 0.4  # of the training loss


def _held_out(results: Results, label: str, training: str = "six"):
    return results.last(training, label, HELD_OUT)


def _ahead(base: str, training: str = "six"):
    def check(results: Results) -> Finding:
        return less(f"{base}-HD", _held_out(results, f"{base}-HD", training), base, _held_out(results, base, training))

    return check


def _published(results: Results) -> Finding:
    errors = {x: abs(_held_out(results, x).mean / number - 1) for x, number in PUBLISHED.items()}
    text = ", ".join(f"{x} {_held_out(results, x).mean:.4f} ({PUBLISHED[x]})" for x in PUBLISHED)
    return Finding(text, max(errors.values()) < 0.02)


def _rises_and_falls(results: Results) -> Finding:
    found = []
    for label in ("SGD-HD", "SGDN-HD"):
        for curve in results.curves("six", label, RATE):
            peak = int(curve.values.argmax())
            found.append((curve.values[peak] > 3 * curve.values[0], curve.values[-1] < curve.values[peak] / 3))
    rises, falls = (sum(side) for side in zip(*found, strict=True))
    return Finding(f"rises in {rises}, falls again in {falls} of {len(found)} runs", rises == falls == len(found))


def _from_nothing(results: Results) -> Finding:
    pairs = {"SGD-HD, 0": "SGD-HD", "SGDN-HD, 0": "SGDN-HD", "Adam-HD, 0": "Adam-HD"}
    errors = [abs(_held_out(results, a).mean / _held_out(results, b).mean - 1) for a, b in pairs.items()]
    text = "; ".join(f"{a} {_held_out(results, a)}, {b} {_held_out(results, b)}" for a, b in pairs.items())
    return Finding(text, max(errors) < 0.03)


def _draw_six(results: Results):
    panels = {
        "learning rate": {x: results.curves("six", x, RATE) for x in METHODS},
        "training loss": {x: results.curves("six", x, LOSS) for x in METHODS},
        "held-out loss": {x: results.curves("six", x, HELD_OUT) for x in METHODS},
    }
    return curves(panels, "step", "")


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


def _table_mlp(results: Results):
    rows = [("method", "last rate", "training loss", "held-out loss", "accuracy")]
    for label in METHODS:
        metrics = (RATE, LOSS, HELD_OUT, "test/accuracy")
        rows.append((label, *(str(results.last("mlp", label, metric)) for metric in metrics)))
    return rows


def _draw_mlp(results: Results):
    panels = {
        title: {x: results.curves("mlp", x, metric) for x in METHODS}
        for title, metric in (("learning rate", RATE), ("training loss", LOSS), ("held-out loss", HELD_OUT))
    }
    return curves(panels, "step", "")


def steps_to_threshold(results: Results) -> dict[str, np.ndarray]:
    """Returns {method: [betas, alphas], the first step with a training loss of THRESHOLD or less}."""
    found = {}
    for method, betas in BETAS.items():
        table = np.full((len(betas), len(ALPHAS)), np.inf)
        for i, beta in enumerate(betas):
            for j, alpha in enumerate(ALPHAS):
                if not (alpha or beta):
                    continue
                (curve, *_) = results.curves("grid", (method, alpha, beta), LOSS)
                reached = curve.steps[curve.values <= THRESHOLD]
                table[i, j] = reached[0] if len(reached) else np.inf
        found[method] = table
    return found


def _reached(table: np.ndarray) -> int:
    return int(np.isfinite(table).sum())


def _first_rate_matters_less(method: str):
    """Returns a check that with the best beta more first rates reach the threshold than without any."""

    def check(results: Results) -> Finding:
        table = results.computed[method]
        without = np.isfinite(table[0]).sum()
        counts = np.isfinite(table[1:]).sum(1)
        best = BETAS[method][1 + int(counts.argmax())]
        ours = f"beta {best:g}: {counts.max()} of {len(ALPHAS)} first rates reach {THRESHOLD}, beta 0: {without}"
        return Finding(ours, bool(counts.max() > without))

    return check


def _zero_works(results: Results) -> Finding:
    found = {m: float(results.computed[m][1:, 0].min()) for m in BETAS}
    text = ", ".join(f"{m} {value:.0f} steps" if np.isfinite(value) else f"{m} never" for m, value in found.items())
    return Finding(text, all(np.isfinite(list(found.values()))))


def _draw_grid(results: Results):
    figure = new_figure(1.0 + 3.6 * len(BETAS), 3.4)
    axes = figure.subplots(1, len(BETAS), squeeze=False)[0]
    for axis, (method, table) in zip(axes, results.computed.items(), strict=True):
        mesh = axis.imshow(np.ma.masked_invalid(table), origin="lower", aspect="auto", cmap="viridis_r", vmin=0, vmax=469)
        axis.set_xticks(range(len(ALPHAS)), [f"{alpha:g}" for alpha in ALPHAS])
        axis.set_yticks(range(len(BETAS[method])), [f"{beta:g}" for beta in BETAS[method]])
        axis.set(xlabel="alpha_0", ylabel="beta", title=method, facecolor="0.85")
    figure.colorbar(mesh, ax=list(axes), label=f"steps to a training loss of {THRESHOLD}")
    return figure


_SMOKE = {
    "dataset.train_split": "train[:256]",
    "dataset.eval_split": "test[:100]",
    "batch_size": 32,
    "epoch_means": False,
}
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
            "Logistic regression on MNIST, 10 epochs: learning rates and losses of six methods",
            [
                Claim("SGD-HD", "SGD-HD is ahead of SGD", _ahead("SGD")),
                Claim("SGDN-HD", "SGDN-HD is ahead of SGDN", _ahead("SGDN")),
                Claim("published", "held-out losses of the authors' runs, within 2%", _published),
                Claim("rates", "from 1e-3 rates rise at first, and fall again", _rises_and_falls),
                Claim("from nothing", "a first rate of 0 ends at the same loss, within 3%", _from_nothing),
            ],
            trainings={
                "six": Training("classifier/mnist_logreg", METHODS | FROM_NOTHING, _ALL, {Scale.SMOKE: _SMOKE})
            },
            draw=_draw_six,
            table=_table_six,
        ),
        Figure(
            "mlp",
            "MLP on MNIST: learning rates and losses of six methods",
            [
                Claim("SGD-HD", "SGD-HD is ahead of SGD", _ahead("SGD", "mlp")),
                Claim("SGDN-HD", "SGDN-HD is ahead of SGDN early", _ahead("SGDN", "mlp")),
                Claim("Adam-HD", "Adam-HD is ahead of Adam", _ahead("Adam", "mlp")),
            ],
            trainings={
                "mlp": Training(
                    "classifier/mnist_mlp",
                    METHODS,
                    {Scale.SMOKE: 1, Scale.LAPTOP: 1, Scale.PAPER: 3},
                    {
                        Scale.SMOKE: _SMOKE | {"classifier.model.kwargs.hidden": "(4,)"},
                        Scale.LAPTOP: {"num_epochs": 10.0},
                        Scale.PAPER: {"num_epochs": 100.0},
                    },
                )
            },
            draw=_draw_mlp,
            table=_table_mlp,
            notes="10 epochs at the laptop's scale; the paper's are 100.",
        ),
        Figure(
            "grid",
            "Steps until a training loss of 0.4 over alpha_0 and beta, logistic regression",
            [
                *(
                    Claim(method, "the first rate matters less with a beta than without", _first_rate_matters_less(method))
                    for method in BETAS
                ),
                Claim("alpha_0 = 0", "a first rate of 0 works with every method", _zero_works),
            ],
            trainings={
                "grid": Training(
                    "classifier/mnist_logreg",
                    GRID,
                    {Scale.SMOKE: 1, Scale.LAPTOP: 1, Scale.PAPER: 1},
                    {
                        Scale.SMOKE: _SMOKE,
                        Scale.LAPTOP: {"num_steps": 469, "log_every": 7, "eval_every": 469, "checkpoint_every": 469},
                        Scale.PAPER: {"num_steps": 469, "log_every": 7},
                    },
                )
            },
            compute=steps_to_threshold,
            draw=_draw_grid,
        ),
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
                    METHODS | {"Adam-HD": _method("adam_hd", kwargs__beta=1e-8)},
                    {Scale.PAPER: 3},
                    {Scale.PAPER: {"num_epochs": 100.0}},
                )
            },
        ),
    ],
)
