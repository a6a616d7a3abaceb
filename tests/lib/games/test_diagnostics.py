"""Diagnostics against dense derivatives of the tanh GAN in float64, and in the runs of experiments."""

import functools
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import largest_difference, small_config, trained
from jax.flatten_util import ravel_pytree
from toys import KEY, PLAYERS, both, tanh_gan

from experiments import registry
from lib import optimizers
from lib.errors import ConfigError
from lib.games import updates
from lib.games.diagnostics import Diagnostic
from lib.games.drift import Coefficients
from lib.games.game import Aux, Game
from lib.games.updates import Regularizers, Weights
from lib.runtime import records
from lib.runtime.devices import AXIS

ALL = get_args(Diagnostic)
RATES = {"disc": 0.3, "gen": 0.2}
CANCELLED = Weights.none(PLAYERS)._replace(multiplier=both(other_dot_prod=-1.0))


def bound(name: str, weights=CANCELLED, diagnostics=ALL, estimator="biased"):
    """Returns a rule of the tanh GAN with diagnostics."""
    game, *_ = tanh_gan()
    sgd = {x: optimizers.make("sgd", RATES[x], {}) for x in PLAYERS}
    return updates.make(name, game, sgd, Regularizers(weights, estimator), diagnostics=diagnostics)


@functools.cache
def dense(point: str = "start") -> dict[str, np.ndarray]:
    """Returns gradients g[x, y] = grad_y L_x and blocks of second derivatives H[x, y, z] = d_z d_y L_x."""
    game, params, batch = tanh_gan()
    flats = {x: ravel_pytree(params[x]) for x in PLAYERS}

    def loss(x, disc, gen):
        p = {"disc": flats["disc"][1](disc), "gen": flats["gen"][1](gen)}
        return game.losses(p, {}, batch, KEY)[0][x]

    at = [flats[x][0] for x in PLAYERS]
    results = {}
    for x in PLAYERS:
        first = jax.grad(loss, (1, 2))(x, *at)
        second = jax.hessian(loss, (1, 2))(x, *at)
        for i, y in enumerate(PLAYERS):
            results[x, y] = np.asarray(first[i])
            for j, z in enumerate(PLAYERS):
                results[x, y, z] = np.asarray(second[i][j])
    return results | {x: np.asarray(flats[x][0]) for x in PLAYERS}


def by_hand() -> dict[str, float]:
    """Returns all diagnostics of a simultaneous step whose interaction drift is cancelled."""
    d, norm, expected = dense(), np.linalg.norm, {}
    game, params, batch = tanh_gan()
    losses, _ = game.losses(params, {}, batch, KEY)
    for x, y in (PLAYERS, PLAYERS[::-1]):
        h, own = RATES[x], d[x, x]
        # d/dtheta_x <grad_y L_x, sg(grad_y L_y)> = H[x, x, y] grad_y L_y
        dot = h / 2 * d[x, x, y] @ d[y, y]
        expected |= {
            f"{x}_gradient_norm": norm(own),
            f"{x}_added_norm": norm(dot),
            f"{x}_parameter_norm": norm(d[x]),
            f"{x}_polyak_step": float(losses[x]) / norm(own - dot) ** 2,
            f"{x}_loss_{y}_gradient_norm": norm(d[x, y]),
            f"{x}_interaction": d[x, y] @ d[y, y],
            f"{x}_drift_self_norm": h / 2 * norm(d[x, x, x] @ own),
            f"{x}_drift_other_dot_prod": norm(dot),
            f"{x}_hessian_gradient_norm": norm(d[x, x, x] @ own),
        }
    return expected


def step(rule):
    """Returns (state, metrics) after a step from the parameters of the tanh GAN."""
    _, params, batch = tanh_gan()
    return jax.jit(rule.step)(rule.init(params, {}), batch, KEY)


@pytest.mark.usefixtures("float64")
def test_all_are_those_of_dense_derivatives():
    _, metrics = step(bound("simultaneous"))
    expected = by_hand()
    known = {"disc_loss", "gen_loss", "disc_learning_rate", "gen_learning_rate"}
    assert metrics.keys() - known == expected.keys()
    for name, value in expected.items():
        assert abs(value) > 1e-4, name
        assert float(metrics[name]) == pytest.approx(value, rel=1e-10), name


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["simultaneous", "alternating", "runge_kutta_2", "optimistic"])
def test_they_change_no_step(name):
    weights = Weights.none(PLAYERS)
    plain, bare = step(bound(name, weights, ()))
    state, metrics = step(bound(name, weights))
    assert largest_difference(plain, state) == 0
    assert bare.keys() < metrics.keys()
    assert {"disc_gradient_norm", "gen_interaction", "gen_hessian_gradient_norm"} <= metrics.keys()


@pytest.mark.usefixtures("float64")
def test_what_is_added_after_the_stages_is_shown():
    weights = Weights.none(PLAYERS)._replace(rk_after={**both(), "disc": Coefficients(0.0, 0.7, 0.0)})
    _, metrics = step(bound("runge_kutta_2", weights, ("gradient_norms",)))
    d = dense()
    expected = 0.7 * np.linalg.norm(d["gen", "disc", "gen"] @ d["gen", "gen"])
    assert expected > 1e-3
    assert float(metrics["disc_after_norm"]) == pytest.approx(expected, rel=1e-10)
    assert "gen_after_norm" not in metrics


@pytest.mark.parametrize(("loss", "power"), [(0.0, 1), (1.0, 2), (1e30, 1)])
def test_a_polyak_step_is_always_finite(loss, power):
    """Lets the gradient vanish, and be so small that its square or the quotient is not a number."""
    game = Game(("model",), lambda p, s, b, k: ({"model": loss + p["model"] ** power * 1e-22}, Aux(s, {})))
    sgd = {"model": optimizers.make("sgd", 0.1, {})}
    rule = updates.make("simultaneous", game, sgd, Regularizers.none(("model",)), diagnostics=ALL[:2])
    _, metrics = jax.jit(rule.step)(rule.init({"model": jnp.zeros([])}, {}), jnp.zeros(2), KEY)
    assert np.isfinite(metrics["model_polyak_step"])


@pytest.mark.usefixtures("float64")
def test_those_of_an_alternating_step_are_where_each_player_moves_from():
    _, metrics = step(bound("alternating", Weights.none(PLAYERS), ("gradient_norms",)))
    _, before = step(bound("simultaneous", Weights.none(PLAYERS), ("gradient_norms",)))
    assert float(metrics["disc_gradient_norm"]) == pytest.approx(
        float(before["disc_gradient_norm"]), rel=1e-6
    )
    assert abs(float(metrics["gen_gradient_norm"]) / float(before["gen_gradient_norm"]) - 1) > 1e-3


SGA = Weights.none(PLAYERS)._replace(sga=0.5)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("weights", [CANCELLED, SGA], ids=["cancelled", "sga, aligned"])
def test_they_are_the_same_on_two_devices(weights):
    rule, (_, params, batch) = bound("simultaneous", weights, estimator="biased_averaged"), tanh_gan()
    state = rule.init(params, {})
    results = []
    for n in (1, 2):
        run = jax.pmap(rule.step, AXIS, in_axes=(None, 0, None), devices=jax.local_devices()[:n])
        _, metrics = run(state, batch.reshape(n, -1, batch.shape[-1]), KEY)
        results.append({name: float(value[0]) for name, value in metrics.items()})
    assert results[0]["gen_added_norm"] > 1e-3
    assert results[1] == pytest.approx(results[0], rel=1e-5)


SGD = "classifier.optimizer.name=sgd"


def test_runs_record_them(make):
    wanted = "('gradient_norms','parameter_norms','polyak_steps','hessian_gradients','drift')"
    trainer = make("classifier/digits", f"classifier.diagnostics={wanted}", SGD, "num_steps=2")
    trained(trainer)
    record = records.read_training(trainer.folder.metrics)[-1]
    names = ("gradient_norm", "parameter_norm", "polyak_step", "hessian_gradient_norm", "drift_self_norm")
    assert all(record[f"model_{name}"] > 0 for name in names)
    assert "model_drift_other_dot_prod" not in record
    overrides = ("gan.diagnostics=('gradient_norms',)", "num_steps=2", "checkpoint_every=2")
    trainer = make("gan/digits", *overrides, workdir="gan")
    trained(trainer)
    record = records.read_training(trainer.folder.metrics)[-1]
    assert record["disc_added_norm"] > 0
    assert record["gen_gradient_norm"] > 0


@pytest.mark.parametrize(
    ("name", "override", "line"),
    [
        (
            "gan/digits",
            "gan.diagnostics=('drif',)",
            r"diagnostics.*: unknown name 'drif'; did you mean 'drift'",
        ),
        (
            "classifier/digits",
            "classifier.diagnostics=('drift',)",
            r"config\.classifier\.diagnostics: there is no theory of the drift of the optimiser 'adam'",
        ),
        (
            "gan/digits_adam",
            "gan.diagnostics=('drift',)",
            r"config\.gan\.diagnostics: there is no theory of the drift of optimizers\.gen",
        ),
        (
            "classifier/digits",
            "classifier.diagnostics=('interaction',)",
            r"config\.classifier\.diagnostics: 'interaction' is between players, and 'model'",
        ),
    ],
)
def test_unknown_ones_are_refused(name, override, line):
    with pytest.raises(ConfigError, match=line):
        registry.validated(small_config(name, override))
