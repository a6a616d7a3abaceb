"""EigenGame, ICLR 2021, and EigenGame Unloaded, ICLR 2022: streaks and distances on spectra and MNIST."""

import time

import numpy as np

from analysis.reproduce.findings import above, all_of, less
from analysis.reproduce.paper import Claim, Figure, Finding, Paper, Scale, Training
from analysis.reproduce.pictures import curves
from analysis.reproduce.presets import DIGITS
from analysis.reproduce.results import Results
from lib.data import load
from lib.data.pipeline import to_rows

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
        return all_of(*(above(_best(results, training, rule), 16) for rule in rules))

    return check


def _bias(results: Results) -> Finding:
    """Compares subspace distances with the smallest batches."""
    alpha, mu = (results.last("batch 32", rule, DISTANCE) for rule in ("alpha", "mu"))
    return less("distance of mu", mu, "alpha", alpha)


def _bias_grows(results: Results) -> Finding:
    ratio = {}
    for size in (32, 1024):
        alpha, mu = (results.last(f"batch {size}", rule, DISTANCE).mean for rule in ("alpha", "mu"))
        ratio[size] = alpha / mu
    return less("alpha's distance over mu's, batches of 1,024", ratio[1024], "32", ratio[32])


def _sanger_floor(results: Results) -> Finding:
    sanger, mu = (results.last("batch 1024", rule, DISTANCE) for rule in ("sanger", "mu"))
    return less("distance of mu", mu, "Sanger's rule", sanger)


def _draw(metric: str, label: str, trainings):
    def draw(results: Results):
        panels = {t: {rule: results.curves(t, rule, metric) for rule in RULES} for t in trainings}
        return curves(panels, "step", label, log=metric == DISTANCE)

    return draw


def _table(trainings):
    def table(results: Results):
        rows = [("", "rule", "best streak", "last streak", "last distance")]
        for training in trainings:
            for rule in RULES:
                last = (results.last(training, rule, metric) for metric in (STREAK, DISTANCE))
                rows.append((training, rule, str(_best(results, training, rule)), *map(str, last)))
        return rows

    return table


def exact(results: Results) -> dict:
    """Returns seconds that scikit-learn takes for the 16 components of MNIST."""
    from sklearn.decomposition import PCA

    if results.scale == Scale.SMOKE:
        rows = np.random.default_rng(0).standard_normal((200, 20))
        k = 4
    else:
        rows, k = np.asarray(to_rows(load("mnist", "train").image)), 16
    begun = time.perf_counter()
    PCA(k, svd_solver="covariance_eigh").fit(rows)
    return {"seconds": time.perf_counter() - begun}


def _seconds(results: Results) -> float:
    """Returns the seconds of mu's steps until its streak is full, the mean over seeds."""
    seconds = []
    for run, curve in zip(
        results.runs("batch 1024", "mu"), results.curves("batch 1024", "mu", STREAK), strict=True
    ):
        full = curve.steps[curve.values >= 16]
        rates = [r["train/steps_per_second"] for r in run.records if "train/steps_per_second" in r]
        if not len(full) or not rates:
            return float("nan")
        seconds.append(full[0] / np.median(rates))
    return float(np.mean(seconds))


def _time(results: Results) -> Finding:
    return less("EigenGame (s)", _seconds(results), "scikit-learn's PCA", results.computed["seconds"])


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
                Claim("exponential", "and of an exponential one", _full("exponential_spectrum")),
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
            draw=_draw(STREAK, "longest streak", _SPECTRA),
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
                Claim("256", "and of 256", _full("batch 256", ("mu",))),
                Claim("bias", "batches bias alpha: with 32 its distance is above mu's", _bias),
                Claim("bias and size", "and the more the smaller they are", _bias_grows),
                Claim("Sanger", "mu ends nearer than Sanger's rule (GHA)", _sanger_floor),
                Claim(
                    "time",
                    "EigenGame is faster than an exact PCA (of matrices that are large enough)",
                    _time,
                ),
            ],
            trainings={f"batch {size}": _mnist(size, *how) for size, how in SIZES.items()},
            compute=exact,
            draw=_draw(DISTANCE, "subspace distance", _BATCHES),
            table=_table(_BATCHES),
            notes="The papers' rates are for rows of another scale; alpha has half the rate of the others, "
            "whose direction is half of its own. 784 features are few: exact PCA takes less than a second.",
        ),
    ],
)
