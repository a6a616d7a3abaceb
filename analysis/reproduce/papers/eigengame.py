"""EigenGame, ICLR 2021, and EigenGame Unloaded, ICLR 2022: streaks and distances on spectra and MNIST."""

import time
from typing import NamedTuple

import jax
import numpy as np

from analysis.reproduce.findings import above, all_of, less
from analysis.reproduce.paper import Claim, Figure, Finding, Paper, Scale, Training
from analysis.reproduce.pictures import curves
from analysis.reproduce.presets import DIGITS
from analysis.reproduce.results import Curve, Results
from experiments import registry
from lib.data.pipeline import to_rows
from lib.runtime.run_folder import RunFolder
from lib.runtime.trainer import Trainer

RULES = ("mu", "alpha", "oja", "sanger")
STREAK, DISTANCE = "test/streak", "test/subspace_distance"
SIZES = {1024: (3_000, 0.03), 256: (6_000, 0.015), 32: (15_000, 0.003)}  # {batch: (steps, rate of mu)}


def _rule(rule: str, rate: float) -> dict:
    return {
        "eigengame.rule": rule,
        # alpha's direction is twice mu's where parents are exact
        "eigengame.optimizer.learning_rate": rate / 2 if rule == "alpha" else rate,
    }


def _best(results: Results, training: str, rule: str):
    return results.best(training, rule, STREAK)


def _full(training: str, rules=("mu", "alpha")):
    def check(results: Results) -> Finding:
        return all_of(
            *(above(f"last streak of {rule}", results.last(training, rule, STREAK), 16) for rule in rules)
        )

    return check


def _bias(results: Results) -> Finding:
    """Compares subspace distances with the smallest batches."""
    alpha, mu = (results.last("batch 32", rule, DISTANCE) for rule in ("alpha", "mu"))
    return less("distance of mu", mu, "of alpha", alpha)


def _bias_grows(results: Results) -> Finding:
    ratio = {}
    for size in (32, 1024):
        alpha, mu = (results.last(f"batch {size}", rule, DISTANCE).mean for rule in ("alpha", "mu"))
        ratio[size] = alpha / mu
    return less("distance of alpha over that of mu: batches of 1,024", ratio[1024], "of 32", ratio[32])


def _nearer_than_sanger(*trainings: str):
    def check(results: Results) -> Finding:
        return all_of(
            *(
                less(
                    f"{training}: distance of mu",
                    results.last(training, "mu", DISTANCE),
                    "of Sanger's rule",
                    results.last(training, "sanger", DISTANCE),
                )
                for training in trainings
            )
        )

    return check


def _draw(metric: str, label: str, trainings):
    def draw(results: Results):
        panels = {t: {rule: results.curves(t, rule, metric) for rule in RULES} for t in trainings}
        return curves(panels, "step", label, log=metric == DISTANCE)

    return draw


def _draw_spectra(results: Results):
    panels = {
        f"{training.replace('_', ' ')}: {label}": {
            rule: [_shown(curve, metric) for curve in results.curves(training, rule, metric)]
            for rule in RULES
        }
        for training in _SPECTRA
        for metric, label in ((STREAK, "streak"), (DISTANCE, "log10 of distance"))
    }
    return curves(panels, "step", "", log=False)


def _shown(curve: Curve, metric: str) -> Curve:
    return curve._replace(values=np.log10(curve.values)) if metric == DISTANCE else curve


def _table(trainings):
    def table(results: Results):
        rows = [("", "rule", "best streak", "last streak", "last distance")]
        for training in trainings:
            for rule in RULES:
                last = (results.last(training, rule, metric) for metric in (STREAK, DISTANCE))
                rows.append((training, rule, str(_best(results, training, rule)), *map(str, last)))
        return rows

    return table


class Seconds(NamedTuple):
    """What was timed here, on all cores: an exact PCA, and a step of mu with batches of 1,024."""

    pca: float
    step: float


def seconds(results: Results) -> Seconds:
    """Times scikit-learn on the rows that the runs are trained on, and steps of theirs, a call each."""
    from sklearn.decomposition import PCA

    run = RunFolder(results.folder / "batch 1024" / results.runs("batch 1024", "mu")[0].name)
    config = registry.validated(registry.own_config(run))
    programs = registry.programs(config, jax.local_devices()[:1])
    rows = np.asarray(to_rows(np.asarray(programs.data.train.image)))
    begun = time.perf_counter()
    PCA(config.eigengame.k, svd_solver="covariance_eigh").fit(rows)
    pca = time.perf_counter() - begun

    program, (state, *arguments) = Trainer(programs, run).one_step(programs.place(programs.init()), 0)
    times = []
    for _ in range(_TIMED):
        begun = time.perf_counter()
        state, metrics = program(state, *arguments)
        jax.block_until_ready(metrics)
        times.append(time.perf_counter() - begun)
    return Seconds(pca, float(np.median(times)))


def _time(results: Results) -> Finding:
    """Compares the mean over seeds of the steps until the streak of mu is full, times a step's time."""
    found, step = results.computed, results.computed.step
    until = []
    for curve in results.curves("batch 1024", "mu", STREAK):
        full = curve.steps[curve.values >= 16]
        until.append(full[0] if len(full) else np.inf)
    ours = f"seconds of mu until its streak is full ({np.mean(until):,.0f} steps of {1e3 * step:.2f} ms)"
    return less(ours, float(np.mean(until)) * step, "of exact PCA", found.pca)


_TIMED = 50  # steps
_SPECTRUM = {Scale.SMOKE: {"batch_size": 20}, Scale.LAPTOP: {"num_steps": 4_000, "eval_every": 200}}
_SEEDS = {Scale.SMOKE: 1, Scale.LAPTOP: 3, Scale.PAPER: 10}
_SPECTRA = ("linear_spectrum", "exponential_spectrum")
_BATCHES = tuple(f"batch {size}" for size in SIZES)


def _mnist(size: int, steps: int, rate: float) -> Training:
    return Training(
        "eigengame/mnist_mu",
        {rule: _rule(rule, rate) for rule in RULES},
        _SEEDS | {Scale.LAPTOP: 2},
        settings={
            Scale.SMOKE: DIGITS,
            **{
                scale: {
                    "batch_size": size,
                    "num_steps": steps,
                    "eval_every": steps // 30,
                    "checkpoint_every": steps,
                }
                for scale in (Scale.LAPTOP, Scale.PAPER)
            },
        },
    )


PAPER = Paper(
    "eigengame",
    "EigenGame",
    "Gemp, McWilliams, Vernade, Graepel, 'EigenGame: PCA as a Nash Equilibrium', ICLR 2021, and 'EigenGame "
    "Unloaded: When Playing Games is Better than Optimizing', ICLR 2022.",
    "eigengame.md",
    [
        Figure(
            "spectra",
            "50 x 50 covariances whose eigenvalues fall from 1000 to 1",
            [
                Claim(
                    "linear", "all 16 components of a linear spectrum are found", _full("linear_spectrum")
                ),
                Claim(
                    "exponential",
                    "all 16 components of an exponential spectrum are found",
                    _full("exponential_spectrum"),
                ),
                Claim("Sanger", "mu ends nearer than Sanger's rule (GHA)", _nearer_than_sanger(*_SPECTRA)),
            ],
            trainings={
                name: Training(
                    f"eigengame/{name}",
                    # 1e-4 is the pseudo-code's rate
                    {rule: _rule(rule, 1e-4) for rule in RULES},
                    _SEEDS,
                    settings=_SPECTRUM,
                )
                for name in _SPECTRA
            },
            draw=_draw_spectra,
            table=_table(_SPECTRA),
        ),
        Figure(
            "mnist",
            "MNIST, k = 16, batches of 1,024, 256 and 32",
            [
                Claim(
                    "streak",
                    "mu finds all 16 components with batches of 1,024",
                    _full("batch 1024", ("mu",)),
                ),
                Claim("256", "mu finds all 16 components with batches of 256", _full("batch 256", ("mu",))),
                Claim("bias", "batches bias alpha: with 32 its distance is above mu's", _bias),
                Claim("bias and size", "the smaller the batches, the larger alpha's bias", _bias_grows),
                Claim("Sanger", "mu ends nearer than Sanger's rule (GHA)", _nearer_than_sanger(*_BATCHES)),
                Claim(
                    "time",
                    "EigenGame is faster than an exact PCA",
                    _time,
                ),
            ],
            trainings={f"batch {size}": _mnist(size, *how) for size, how in SIZES.items()},
            compute=seconds,
            draw=_draw(DISTANCE, "subspace distance", _BATCHES),
            table=_table(_BATCHES),
            notes="The papers' rates are for rows of another scale. alpha has half the rate of mu, for its "
            "direction is twice that of mu. Times are of all cores; 784 features are few, and "
            "the papers' speed is that of matrices whose covariance does not fit.",
        ),
    ],
)
