"""ALI-G and its relatives: the papers' rules in NumPy, closed forms, optax's own, and life inside optax."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tanh_net import THETA, flat, loss, trained, trained_all, value_and_gradient

from lib import optimizers
from lib.errors import ConfigError
from lib.games import updates
from lib.games.game import Aux, Game
from lib.optimizers.alig import alig
from lib.optimizers.polyak import polyak_sgd, sps_max
from lib.optimizers.projection import l2_ball, projected

STEPS = 50
MU, EPS, CAP, RADIUS = 0.5, 1e-3, 0.5, 3.5
THETA32 = jax.tree.map(np.float32, THETA)


def transcribed(cap, momentum, radius):
    """Follows the algorithm: (parameters, rates, norms before projections)."""
    w, rates, norms = flat(THETA), [], []
    w = w * min(1, radius / np.linalg.norm(w))
    b = np.zeros_like(w)
    for _ in range(STEPS):
        value, g = value_and_gradient(w)
        gamma = min(value / (np.sum(g**2) + EPS), cap)
        w = w - gamma * g
        if momentum == "standard":
            b = MU * b - gamma * g
            w = w + MU * b
        elif momentum == "adjusted":
            b = MU * b - g
            w = w + gamma * MU * b
        rates.append(gamma)
        norms.append(np.linalg.norm(w))
        w = w * min(1, radius / norms[-1])
    return w, np.array(rates), np.array(norms)


CASES = list(itertools.product(("none", "standard", "adjusted"), (False, True), (np.inf, RADIUS)))
# {name: (own, its oracle)}
RELATIVES = {
    "alig": (alig(CAP, eps=1e-3), optax.polyak_sgd(CAP, eps=1e-3)),
    "without momentum": (alig(CAP, eps=1e-3, momentum=0.0), alig(CAP, eps=1e-3)),
    "polyak_sgd": (
        polyak_sgd(CAP, 1e-3, 1e-3, "sps+"),
        optax.polyak_sgd(CAP, 1.0, 1e-3, 1e-3, "sps+"),
    ),
    "sps_max": (sps_max(CAP, c=1.0, lower_bound=-1e-3), optax.polyak_sgd(CAP, f_min=-1e-3)),
    "by name": (optimizers.make("polyak_sgd", CAP, {"eps": 1e-3}), alig(CAP, eps=1e-3)),
}
SPS_MAX = {"c": 0.8, "lower_bound": -1e-4}


@pytest.fixture(scope="module")
def runs():
    """Takes fifty steps of every optimiser of this module, in double precision and in one program."""
    with jax.enable_x64(True):
        chosen = {("sps_max",): (optimizers.make("sps_max", CAP, SPS_MAX), THETA)}
        for momentum, capped, radius in CASES:
            kwargs = {"eps": EPS, "capped": capped}
            kwargs |= {} if momentum == "none" else {"momentum": MU, "adjusted": momentum == "adjusted"}
            kwargs |= {"max_norm": radius} if radius < np.inf else {}
            optimizer = optimizers.make("alig", CAP, kwargs)
            chosen[momentum, capped, radius] = (optimizer, optimizer.project(THETA))
        for name, (own, oracle) in RELATIVES.items():
            chosen |= {(name, "own"): (own, THETA), (name, "oracle"): (oracle, THETA)}
        return jax.device_get(trained_all(chosen, STEPS))


@pytest.mark.parametrize(("momentum", "capped", "radius"), CASES)
def test_fifty_steps_equal_the_algorithm(runs, momentum, capped, radius):
    expected, rates, norms = transcribed(CAP if capped else np.inf, momentum, radius)
    if capped:
        assert 5 < np.sum(rates == CAP) < STEPS  # it cuts, and not always
    assert np.unique(rates).size > 5
    if radius < np.inf:
        assert np.sum(norms > radius) > 5
    theta, used = runs[momentum, capped, radius]
    np.testing.assert_allclose(used, rates, rtol=1e-10)
    np.testing.assert_allclose(flat(theta), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", RELATIVES)
def test_equals_its_relative(runs, name):
    (theta, rates), (expected, _) = runs[name, "own"], runs[name, "oracle"]
    assert rates.min() < CAP - 1e-3
    assert rates.max() == pytest.approx(CAP, rel=1e-12)
    np.testing.assert_allclose(flat(theta), flat(expected), rtol=0, atol=1e-12)


def test_sps_max_is_the_formula(runs):
    w, expected = flat(THETA), []
    for _ in range(STEPS):
        value, g = value_and_gradient(w)
        expected.append(min((value - SPS_MAX["lower_bound"]) / (SPS_MAX["c"] * np.sum(g**2)), CAP))
        w = w - expected[-1] * g
    theta, rates = runs["sps_max",]
    assert min(expected) < CAP == max(expected)
    np.testing.assert_allclose(rates, expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(flat(theta), w, rtol=0, atol=1e-10)


def parabola(x):
    return 3.0 * x**2 / 2


@pytest.mark.usefixtures("float64")
def test_a_parabola_is_halved_at_every_step():
    """Checks the step on f = (lam / 2) x^2, where f / f'^2 = 1 / (2 lam); with eps it is shorter."""
    uncapped = functools.partial(alig, 1.0, capped=False)
    x, rates = trained(uncapped(eps=0.0), 0.7, 20, parabola)
    assert float(x) == pytest.approx(0.7 / 2**20, rel=1e-12)
    np.testing.assert_allclose(rates, 1 / 6, rtol=1e-12)
    once = trained_all({eps: (uncapped(eps=eps), 0.7) for eps in (1e-3, 1e-6)}, 1, parabola)
    short = [float(once[eps][0]) - 0.35 for eps in (1e-3, 1e-6)]
    # (x / 2) eps / (f'^2 + eps)
    assert short == pytest.approx([0.35 * eps / (2.1**2 + eps) for eps in (1e-3, 1e-6)], rel=1e-8)


@pytest.mark.parametrize("eps", [0.0, 1e-5])
@pytest.mark.parametrize("name", ["alig", "polyak_sgd", "sps_max"])
def test_a_gradient_of_zero_moves_nothing(name, eps):
    optimizer = optimizers.make(name, 1.0, {} if name == "sps_max" else {"eps": eps})
    zeros = jax.tree.map(jnp.zeros_like, THETA32)
    for value in (0.0, 1.0):
        moved, _ = optimizer.update(zeros, optimizer.init(THETA32), THETA32, value=jnp.float32(value))
        assert all((x == 0).all() for x in jax.tree.leaves(moved))


def test_the_ball_is_of_all_parameters_together():
    end = l2_ball(RADIUS)(THETA32)
    assert np.linalg.norm(flat(THETA32)) > 1.05 * RADIUS
    assert np.linalg.norm(flat(end)) == pytest.approx(RADIUS, rel=1e-6)
    ratios = flat(end) / flat(THETA32)
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-6)
    np.testing.assert_allclose(flat(l2_ball(100.0)(THETA32)), flat(THETA32), rtol=1e-6)


def test_any_projection_and_any_optimiser():
    project = optax.projections.projection_non_negative
    assert flat(THETA32).min() < 0
    end, _ = trained(alig(CAP, projection=project), THETA32, 3)
    assert flat(end).min() == pytest.approx(0, abs=1e-7)
    grads = jax.grad(loss)(THETA32)
    optimizer = projected(optax.sgd(0.1), project)
    moved, _ = optimizer.update(grads, optimizer.init(THETA32), THETA32)
    expected = project(optax.apply_updates(THETA32, optax.tree.scale(-0.1, grads)))
    np.testing.assert_allclose(flat(optax.apply_updates(THETA32, moved)), flat(expected), atol=1e-6)


def game():
    """Returns a game of one player, whose loss is of a batch (x, y)."""

    def losses(params, state, batch, key):
        return {"model": loss(params["model"], batch[:, :3], batch[:, 3])}, Aux(state, {})

    return Game(("model",), losses)


def test_a_game_starts_within_the_ball():
    optimizer = {"model": optimizers.make("alig", 1.0, {"max_norm": RADIUS})}
    rule = updates.make("simultaneous", game(), optimizer, updates.Regularizers.none(("model",)))
    start = rule.init({"model": THETA32}, {}).params["model"]
    assert np.linalg.norm(flat(start)) == pytest.approx(RADIUS, rel=1e-6)


def test_one_device_equals_two_in_a_run(make):
    """Checks that rate and norms are of the whole batch and of all parameters."""
    chosen = ["dataset.name=digits", "classifier.normalization=signed", "classifier.l2=0.0"]
    chosen += [f"classifier.optimizer.{x}" for x in ("name=alig", "learning_rate=100.0")]
    chosen += [f"classifier.optimizer.kwargs.{x}" for x in ("momentum=0.5", "max_norm=1.0")]
    chosen += ["num_steps=2", "checkpoint_every=2", "eval_every=0"]
    states = []
    for n in (1, 2):
        trainer = make("classifier/mnist_logreg", *chosen, num_devices=n, workdir=str(n))
        start = trainer.programs.init()
        norm = np.linalg.norm(flat(jax.device_get(start.params)))
        assert norm == pytest.approx(1, rel=1e-5)
        trainer.train(start, 0)
        states.append(jax.device_get(trainer.folder.restore(trainer.programs.abstract_state())[1]))
    one, two = (flat(state.params) for state in states)
    rates = [float(optax.tree.get(state, "step_size")) for state in states]
    assert 0.1 < rates[0] < 100  # not cut
    assert rates[0] == pytest.approx(rates[1], rel=1e-5)
    np.testing.assert_allclose(one, two, atol=2e-6)


def test_in_a_chain_the_gradient_is_what_arrives():
    grads = jax.grad(loss)(THETA32)
    norm = np.linalg.norm(flat(grads))
    chain = optax.chain(optax.clip_by_global_norm(0.5), alig(100.0, eps=0.0))
    _, state = chain.update(grads, chain.init(THETA32), THETA32, value=1.0)
    assert norm > 1
    assert optax.tree.get(state, "step_size") == pytest.approx(1 / 0.5**2, rel=1e-5)


def test_masked_norms_are_of_the_chosen_parameters():
    grads = jax.grad(loss)(THETA32)
    optimizer = optax.masked(alig(100.0, eps=0.0, max_norm=0.7), {"w": False, "out": True})
    moved, state = optimizer.update(grads, optimizer.init(THETA32), THETA32, value=1.0)
    rate = 1 / np.sum(flat(grads["out"]) ** 2)
    assert optax.tree.get(state, "step_size") == pytest.approx(rate, rel=1e-5)
    np.testing.assert_array_equal(moved["w"], grads["w"])  # untouched, as optax has it
    out = optax.apply_updates(THETA32, moved)["out"]
    expected = flat(THETA32["out"]) - rate * flat(grads["out"])
    np.testing.assert_allclose(flat(out), 0.7 * expected / np.linalg.norm(expected), rtol=1e-4)


def test_injected_numbers_may_be_schedules_and_change():
    caps = optax.piecewise_constant_schedule(1e-3, {2: 0.1})
    factory = optax.inject_hyperparams(alig, static_args="projection")
    optimizer = factory(learning_rate=caps, projection=optax.projections.projection_non_negative)
    _, rates = trained(optimizer, THETA32, 4)
    np.testing.assert_allclose(rates, [1e-3, 1e-3, 1e-4, 1e-4], rtol=1e-6)


def test_vmapped_over_numbers_in_the_state():
    optimizer = optimizers.make("alig", 1.0, {"momentum": 0.5})
    grads = jax.grad(loss)(THETA32)

    def first(cap):
        state = optimizer.init(THETA32)
        state = state._replace(hyperparams=state.hyperparams | {"learning_rate": cap})
        moved, _ = optimizer.update(grads, state, THETA32, value=loss(THETA32))
        return jax.flatten_util.ravel_pytree(moved)[0]

    caps = jnp.array([1e-3, 2e-3])
    both, alone = jax.jit(jax.vmap(first))(caps), jax.jit(first)
    np.testing.assert_allclose(both, np.stack([alone(cap) for cap in caps]), rtol=1e-5)
    np.testing.assert_allclose(both[1], 2 * both[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "rate", "kwargs", "text"),
    [
        ("alig", -0.1, {}, "learning_rate: -0.1 does not fit; use a positive one, or capped=False"),
        ("alig", 0.0, {}, "learning_rate: "),
        ("alig", 1.0, {"eps": -1e-5}, "kwargs.eps: -1e-05 does not fit; use 0 or more"),
        ("alig", 1.0, {"momentum": 1.0}, "kwargs.momentum: 1.0 does not fit; use 0 or more, below 1"),
        ("alig", 1.0, {"momentum": -0.1}, "kwargs.momentum: "),
        ("alig", 1.0, {"max_norm": 0.0}, "kwargs.max_norm: "),
        ("alig", 1.0, {"max_norm": "big"}, "kwargs.max_norm: 'big' does not fit"),
        ("alig", 1.0, {"projection": "ball"}, "kwargs.projection: 'ball' is no function"),
        ("alig", 1.0, {"adjusted": True}, "kwargs.adjusted: "),
        (
            "alig",
            1.0,
            {"max_nrm": 1.0},
            "kwargs.max_nrm: 'alig' takes no such argument; did you mean 'max_norm'?",
        ),
        ("polyak_sgd", -1.0, {}, "learning_rate: "),
        ("polyak_sgd", 1.0, {"eps": -1.0}, "kwargs.eps: "),
        ("sps_max", -1.0, {}, "learning_rate: "),
        ("sps_max", 1.0, {"c": 0.0}, "kwargs.c: "),
    ],
)
def test_what_does_not_fit_is_one_line(name, rate, kwargs, text):
    with pytest.raises(ConfigError) as caught:
        optimizers.make(name, rate, kwargs)
    assert str(caught.value).startswith(text)
    assert caught.value.field == text.split(":")[0]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("optimizer", [alig(1.0), polyak_sgd(1.0), sps_max(1.0)])
def test_the_loss_is_needed(optimizer):
    with pytest.raises(
        ValueError, match=r"needs value: call update\(grads, opt_state, params, value=...\)"
    ):
        optimizer.update(THETA32, optimizer.init(THETA32), THETA32)


def test_a_projection_needs_the_parameters():
    optimizer = alig(1.0, max_norm=1.0)
    with pytest.raises(
        ValueError, match=r"a projection needs params: call update\(grads, opt_state, params\)"
    ):
        optimizer.update(THETA32, optimizer.init(THETA32), value=1.0)


def test_one_projection_at_most():
    with pytest.raises(ValueError, match="max_norm: .* not both"):
        alig(1.0, max_norm=1.0, projection=optax.projections.projection_non_negative)
