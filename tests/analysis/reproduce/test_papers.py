"""The papers' files: every config and claim that they name, and claims that a wrong sign turns."""

import jax
import pytest
from conftest import ROOT

from analysis.reproduce.paper import Scale
from analysis.reproduce.papers import PAPERS, drift_theory, load
from analysis.reproduce.plan import costs
from analysis.reproduce.results import Results
from analysis.reproduce.work import settings
from experiments import registry
from lib.config import apply_overrides, load_file
from lib.games.drift import Coefficients
from lib.games.flows import DRIFTS

FIGURES = [(paper, figure) for paper in map(load, PAPERS) for figure in paper.figures]
TRAININGS = [
    pytest.param(training, id=f"{paper.name}-{figure.name}-{name}")
    for paper, figure in FIGURES
    for name, training in figure.trainings.items()
]


def test_there_are_many_claims_and_names_are_unique():
    claims = [(paper.name, figure.name, claim.name) for paper, figure in FIGURES for claim in figure.claims]
    assert len(claims) >= 35
    assert len(set(claims)) == len(claims)
    assert all(claim.paper for _, figure in FIGURES for claim in figure.claims)
    assert [paper.name for paper in map(load, PAPERS)] == list(PAPERS)
    for paper in map(load, PAPERS):
        assert (ROOT / "docs" / paper.docs).exists()


def test_costs_are_those_of_figures():
    names = {f"{paper.name}/{figure.name}" for paper, figure in FIGURES}
    assert {name for name, _ in costs()} <= names
    assert all(cost.minutes >= 0 for cost in costs().values())


@pytest.mark.parametrize("training", TRAININGS)
def test_every_run_has_a_config_that_is_valid(training):
    base = load_file(ROOT / "configs" / f"{training.config}.py")
    for scale in Scale:
        if not (runs := training.runs(scale)):
            continue
        assert len(runs) == sum(training.count(label, scale) for label in training.labels(scale))
        assert all(run not in runs[:i] for i, run in enumerate(runs))
        for method in training.labels(scale):
            chosen = settings(training, scale) | dict(training.methods[method]) | {"seed": 0}
            registry.validated(apply_overrides(base, [f"--config.{f}={v}" for f, v in chosen.items()]))


@pytest.fixture
def wrong_sign(monkeypatch):
    """Turns the sign of the drift of all update rules."""

    def turned(rule):
        def drift(*args, **kwargs):
            return {
                x: Coefficients(*(-value for value in coefficients))
                for x, coefficients in rule(*args, **kwargs).items()
            }

        return drift

    for name, rule in dict(DRIFTS).items():
        monkeypatch.setitem(DRIFTS, name, turned(rule))
    jax.clear_caches()


def verdicts() -> dict[tuple[str, str], bool]:
    """Checks the claims on small games, which need no runs."""
    found = {}
    for figure in drift_theory.FIGURES:
        results = Results(figure, Scale.LAPTOP, ROOT)
        computed = Results(figure, Scale.LAPTOP, ROOT, figure.compute(results))
        found |= {(figure.name, claim.name): claim.check(computed).holds for claim in figure.claims}
    return found


def test_a_wrong_sign_in_the_drift_turns_claims_to_fails(wrong_sign):
    """Checks that at least three fail; with the right sign all of them hold (test_smoke.py)."""
    assert sum(not holds for holds in verdicts().values()) >= 3
