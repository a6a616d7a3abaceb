"""Spectral radii against momentum: closed forms, the picture and what it refuses."""

import jax
import numpy as np
import pytest
from conftest import ROOT, refusal, small_config

from analysis import momentum
from analysis.__main__ import main
from experiments import registry
from experiments.games.config import GamesSection
from experiments.games.experiment import state_at_starts, step_all, walk


def section(name: str) -> GamesSection:
    """Returns the section of configs/games/<name>.py."""
    return registry.validated(small_config(f"games/{name}")).games


@pytest.mark.parametrize("updates", momentum.UPDATES)
def test_radii_against_momentum(updates):
    rate, momenta = 0.02, np.array([-0.5, 0.0, 0.3])
    radii = np.abs(momentum.eigenvalues(section("bilinear"), updates, rate, momenta)).max(1) ** 2
    # At momentum 0 the closed forms; to leading order 1 + c(b) eta^2 elsewhere.
    leading = {
        "simultaneous": (1 + momenta) / (1 - momenta) ** 3,
        "alternating": 2 * momenta / (1 - momenta) ** 3,
    }
    np.testing.assert_allclose(radii, 1 + leading[updates] * rate**2, atol=20 * rate**4)
    exact = {"simultaneous": 1 + rate**2, "alternating": 1.0}[updates]
    assert radii[1] == pytest.approx(exact, abs=1e-12)


def test_table_and_picture():
    dirac = section("dirac_gan")
    spectra = momentum.analyse(dirac, 0.2)
    assert spectra.radii["simultaneous"].min() > 1
    best = momentum.MOMENTA[spectra.radii["alternating"].argmin()]
    assert -0.6 < best < -0.4
    table = momentum.table(spectra)
    assert f"{spectra.radii['alternating'].min():.6f} at momentum {best:+.3f}" in table
    axes = momentum.draw(dirac, 0.2, spectra).axes
    assert len(axes) == 9
    assert all(axis.get_xlabel() and axis.get_ylabel() for axis in axes)


def test_any_two_rules_can_be_named():
    # With momentum b the eigenvalues of LEAD's step on the bilinear game are the roots of
    # mu^2 - mu (1 + b - i (h + a)) + b - i a.
    spectra = momentum.analyse(section("bilinear"), 0.1, ("lead", "optimistic"))
    expected = [
        np.abs(np.roots([1, -(1 + b - 1j * (0.1 + 0.3)), b - 0.3j])).max() for b in momentum.MOMENTA
    ]
    np.testing.assert_allclose(spectra.radii["lead"], expected, atol=1e-7)
    assert [axis.get_title() for axis in momentum.draw(section("bilinear"), 0.1, spectra).axes[1:3]] == [
        "lead: eigenvalues",
        "optimistic: eigenvalues",
    ]


def test_precision_is_the_caller_s():
    bilinear = section("bilinear")
    momentum.eigenvalues(bilinear, "alternating", 0.1, np.zeros(1))
    assert not jax.config.jax_enable_x64
    toy, rules = bilinear.as_toy(), {"alternating": momentum.sgd_rule(bilinear, "alternating", 0.1)}
    start = state_at_starts(toy, rules, bilinear.starts)
    points = walk(toy, lambda state: step_all(toy, rules, bilinear.limit, state), start, 1)
    assert points["alternating"].dtype == np.float32


def test_bad_input(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    for argument, message in (
        ("--rate=0", "--rate: 0 is no learning rate"),
        ("--rate=nan", "--rate: nan is no learning rate"),
        ("--updates=lead", "--updates: name two rules, not 1"),
        ("--updates=lead,lookahed", "did you mean 'lookahead'"),
        ("--updates=lead,anchored_extragradient", "makes another step each time"),
        ("--config=configs/gan/digits.py", "'configs/gan/digits.py' is no toy game"),
        ("--config.games.kwargs.couplin=2.0", "config.games.kwargs.couplin: "),
    ):
        assert message in refusal(main, capsys, "momentum", argument)
