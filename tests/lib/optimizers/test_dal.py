"""DAL: the paper's rule in NumPy, closed forms, losses without curvature, several devices, optax."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tanh_net import (
    THETA,
    X,
    flat,
    hessian_vector_product,
    loss,
    trained,
    trained_all,
    value_and_gradient,
)

from lib import optimizers
from lib.errors import ConfigError
from lib.games import updates
from lib.games.game import Aux, Game
from lib.optimizers.curvature import PRODUCTS
from lib.optimizers.dal import dal
from lib.optimizers.trees import polar
from lib.runtime.devices import AXIS

STEPS, H, CAP, PLAIN = 50, 0.6, 0.8, 0.05
KEY = jax.random.key(0)
THETA32 = jax.tree.map(np.float32, THETA)


def transcribed(p, start=0, stop=STEPS):
    """Follows the rule: (parameters, rates, rates before the cap)."""
    theta, rates, wanted = flat(THETA), [], []
    for t in range(STEPS):
        _, g = value_and_gradient(theta)
        curvature = np.linalg.norm(hessian_vector_product(theta, g / np.linalg.norm(g)))
        wanted.append(H / curvature**p)
        rates.append(min(wanted[-1], CAP) if start <= t < stop else PLAIN)
        theta = theta - rates[-1] * g
    return theta, np.array(rates), np.array(wanted)


def test_the_hessian_by_hand_is_the_hessian():
    with jax.enable_x64(True):
        vector, unravel = jax.flatten_util.ravel_pytree(THETA)
        hessian = jax.jit(jax.hessian(lambda v: loss(unravel(v))))(vector)
        direction = np.arange(1.0, 18.0)
        product = hessian_vector_product(flat(THETA), direction)
        np.testing.assert_allclose(product, hessian @ direction, rtol=1e-11, atol=1e-11)


POWERS, WINDOWS = (0.0, 0.5, 1.0, 2.0), ((0, None), (4, None), (0, 30), (4, 30))
ATOL = {"exact": 1e-10, "finite_differences": 1e-8}


def with_power(optimizer, p):
    """Returns the optimiser with another power in its first state."""

    def init(params):
        state = optimizer.init(params)
        return state._replace(hyperparams=state.hyperparams | {"p": p})

    return optimizer._replace(init=init)


@pytest.fixture(scope="module")
def runs():
    """Takes fifty steps with either product, in all windows and with every power; in double precision.

    Returns:
      {name of product and window: (parameters, rates)}, each with a leading axis of POWERS.
    """
    chosen = {}
    with jax.enable_x64(True):
        for hvp, (start, stop) in itertools.product(ATOL, WINDOWS):
            window = {"start": start, "stop": stop, "plain_rate": PLAIN} if start or stop else {}
            kwargs = {"p": 1.0, "cap": CAP, "hvp": hvp, **window}
            chosen[f"{hvp} {start} {stop}"] = optimizers.make("dal", H, kwargs)

        def one(p):
            return trained_all({x: (with_power(o, p), THETA) for x, o in chosen.items()}, STEPS)

        return jax.device_get(jax.vmap(one)(jnp.array(POWERS)))


@pytest.mark.parametrize(("start", "stop"), WINDOWS)
@pytest.mark.parametrize("hvp", ATOL)
@pytest.mark.parametrize("p", POWERS)
def test_fifty_steps_equal_the_rule(runs, p, hvp, start, stop):
    expected, rates, wanted = transcribed(p, start, stop or STEPS)
    if p:
        assert np.ptp(rates[start:stop]) > 0.1
        assert wanted.min() < CAP
    theta, used = jax.tree.map(lambda x: x[POWERS.index(p)], runs[f"{hvp} {start} {stop}"])
    np.testing.assert_allclose(used, rates, rtol=0, atol=ATOL[hvp])
    np.testing.assert_allclose(flat(theta), expected, rtol=0, atol=ATOL[hvp])


@pytest.mark.usefixtures("float64")
def test_p_of_zero_is_sgd():
    ends = trained_all({"dal": (dal(H, p=0.0), THETA), "sgd": (optax.sgd(H), THETA)}, STEPS)
    assert np.abs(flat(ends["sgd"][0]) - flat(THETA)).max() > 0.1
    np.testing.assert_array_equal(flat(ends["dal"][0]), flat(ends["sgd"][0]))


def bowl(x):
    return 3.0 * (jnp.sum(x["a"] ** 2) + x["b"] ** 2) / 2


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("hvp", PRODUCTS)
def test_a_quadratic_is_reflected(hvp):
    """Checks the step on f = (lam / 2) ||x||^2: H ghat = lam ghat, so the rate is 2 / lam and x <- -x."""
    x = {"a": np.array([0.3, -0.4]), "b": np.array(1.2)}
    end, rates = trained(dal(2.0, hvp=hvp), x, 3, bowl)
    tolerance = 1e-14 if hvp == "exact" else 1e-9
    np.testing.assert_allclose(rates, 2 / 3, rtol=tolerance)
    np.testing.assert_allclose(flat(end), -flat(x), rtol=10 * tolerance)


def test_a_gradient_of_zero_moves_nothing():
    x, runs = {"a": np.zeros(3, np.float32)}, {}
    for rate, p, hvp in itertools.product((2.0, 0.0), (0.0, 1.0), PRODUCTS):  # 0: as a schedule may end
        optimizer = optax.inject_hyperparams(dal)(learning_rate=jnp.float32(rate), p=p, hvp=hvp)
        runs[rate, p, hvp] = (optimizer, x)
    for end, rates in trained_all(runs, 2, lambda x: jnp.sum(jnp.cosh(x["a"]))).values():
        np.testing.assert_array_equal(flat(end), 0)
        assert np.isfinite(rates).all()


def test_flat_directions_have_the_cap():
    """Checks the rate on f = x + x^4: H ghat = 12 x^2, below h / cap for small x, and exactly 0 at 0."""
    optimizer = dal(2.0, cap=3.0)
    starts = {x: (optimizer, np.float32(x)) for x in (0.0, 0.1, 1.0)}
    runs = trained_all(starts, 1, lambda x: x + x**4)
    assert runs[0.0] == (pytest.approx(-3.0), pytest.approx(3.0))
    assert runs[0.1][1] == pytest.approx(3.0)
    assert runs[1.0][1] == pytest.approx(2 / 12, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_norms_and_directions_fit_float32(scale):
    tree = {"a": np.float32([3.0, 0.0]) * np.float32(scale), "b": np.float32(-4.0) * np.float32(scale)}
    length, direction = polar(tree)
    assert length == pytest.approx(5 * scale, rel=1e-6)
    np.testing.assert_allclose(flat(direction), [0.6, 0.0, -0.8], rtol=1e-6)


LABELS = np.array([1.0, -1.0, 1.0])


def margin(t):
    return LABELS * (X @ t["w"][:, 0] + t["out"]["c"])


FLAT = {
    "hinge": lambda t: jnp.mean(jnp.maximum(0, 1 - margin(t))),
    "compiled": jax.jit(lambda t: jnp.mean(jax.nn.relu(1 - margin(t)))),
    "absolute": lambda t: jnp.mean(jnp.abs(margin(t) - 1)),
    "linear": lambda t: -jnp.mean(margin(t)),
    "scanned": lambda t: jax.lax.scan(lambda s, m: (s + jax.nn.relu(1 - m), None), 0.0, margin(t))[0],
}


@pytest.mark.parametrize("hvp", PRODUCTS)
@pytest.mark.parametrize("name", FLAT)
def test_a_loss_without_second_derivative_is_refused(name, hvp):
    with pytest.raises(ConfigError, match=r"piecewise linear .* 'dal' .* use a smooth loss") as caught:
        trained(dal(2.0, hvp=hvp), THETA32, 1, FLAT[name])
    assert "\n" not in str(caught.value)


def hinge(t):
    """Returns the hinge loss of a network of two layers with ReLU."""
    outputs = jax.nn.relu(X.astype(np.float32) @ t["w"]) @ t["out"]["v"]
    return jnp.mean(jax.nn.relu(3 - LABELS * outputs))


def test_networks_with_kinks_are_not_refused():
    """Checks that DAL sees the curvature between the layers of a network with ReLU and a hinge."""
    _, rates = trained(dal(2.0, cap=100.0), THETA32, 1, hinge)
    assert 0 < rates < 99


def losses(params, state, batch, key):
    """Returns the loss of one player, on a batch (x, y)."""
    del key
    return {"model": loss(params["model"], batch[:, :3], batch[:, 3])}, Aux(state, {})


CHOSEN = {
    **{hvp: optimizers.make("dal", 2.0, {"hvp": hvp, "cap": 100.0}) for hvp in PRODUCTS},
    "alig": optimizers.make("alig", 100.0, {"momentum": 0.5, "max_norm": 3.0}),
    "sps_max": optimizers.make("sps_max", 100.0, {}),
    "polyak_sgd": optimizers.make("polyak_sgd", 100.0, {}),
}


@pytest.mark.usefixtures("float64")
def test_one_device_equals_two():
    """Checks that losses, gradients and products are of the whole batch, though its halves differ."""
    game, none = Game(("model",), losses), updates.Regularizers.none(("model",))
    rules = {x: updates.make("simultaneous", game, {"model": o}, none) for x, o in CHOSEN.items()}

    def step(states, rows):
        return {x: rule.step(states[x], rows, KEY) for x, rule in rules.items()}

    rows = np.random.default_rng(5).standard_normal((8, 4))
    halves = [loss(THETA, half[:, :3], half[:, 3]) for half in (rows[:4], rows[4:])]
    assert abs(halves[0] - halves[1]) > 0.1
    on_one = jax.jit(step)
    on_two = jax.pmap(step, AXIS, in_axes=(None, 0), out_axes=None, devices=jax.local_devices()[:2])
    start = {"model": jax.tree.map(jnp.asarray, THETA)}
    one = two = {x: rule.init(start, {}) for x, rule in rules.items()}
    for _ in range(3):
        after, on_both = on_one(one, rows), on_two(two, rows.reshape(2, 4, 4))
        for x, (state, metrics) in after.items():
            assert np.abs(flat(state.params) - flat(one[x].params)).max() > 1e-4
            rate = float(on_both[x][1]["model_learning_rate"])
            assert metrics["model_learning_rate"] == pytest.approx(rate, rel=1e-8)
        one, two = ({x: state for x, (state, _) in ends.items()} for ends in (after, on_both))
    for x, (state, metrics) in after.items():
        assert 0 < metrics["model_learning_rate"] < 99
        np.testing.assert_allclose(flat(two[x].params), flat(state.params), rtol=0, atol=1e-8)


def test_in_a_chain_with_momentum_and_a_mask_behind():
    grads = jax.grad(loss)(THETA32)
    frozen = {"w": True, "out": False}
    chain = optax.chain(dal(2.0), optax.trace(0.9), optax.masked(optax.set_to_zero(), frozen))
    update = jax.jit(functools.partial(chain.update, value_fn=loss))
    moved, state = update(grads, chain.init(THETA32), THETA32)
    rate = optax.tree.get(state, "step_size")
    np.testing.assert_allclose(flat(moved["out"]), -rate * flat(grads["out"]), rtol=1e-6)
    assert (moved["w"] == 0).all()


def test_masked_is_refused():
    optimizer = optax.masked(dal(2.0), {"w": False, "out": True})
    with pytest.raises(ValueError, match="dal cannot be masked.*mask its updates instead"):
        optimizer.update(THETA32, optimizer.init(THETA32), THETA32, value_fn=loss)


def test_vmapped_over_powers_in_the_state():
    optimizer = optimizers.make("dal", 0.1, {"p": 1.0})
    grads = jax.grad(loss)(THETA32)

    def rate(p):
        state = optimizer.init(THETA32)
        state = state._replace(hyperparams=state.hyperparams | {"p": p})
        return optax.tree.get(optimizer.update(grads, state, THETA32, value_fn=loss)[1], "step_size")

    powers = jnp.array([0.0, 1.0, 2.0])
    rates = np.asarray(jax.jit(jax.vmap(rate))(powers))
    assert rates[0] == pytest.approx(0.1)
    assert abs(rates[1] - 0.1) > 0.01
    assert rates[2] == pytest.approx(rates[1] ** 2 / 0.1, rel=1e-4)


@pytest.mark.parametrize(
    ("rate", "kwargs", "text"),
    [
        (-2.0, {}, "learning_rate: -2.0 does not fit; use a positive one"),
        (2.0, {"p": -1.0}, "kwargs.p: -1.0 does not fit; use 0 or more"),
        (2.0, {"cap": 0.0}, "kwargs.cap: "),
        (2.0, {"start": -1, "plain_rate": 0.1}, "kwargs.start: "),
        (
            2.0,
            {"start": 3, "stop": 3, "plain_rate": 0.1},
            "kwargs.stop: 3 does not fit; use one above start",
        ),
        (2.0, {"stop": 3}, "kwargs.plain_rate: is needed"),
        (2.0, {"plain_rate": 0.1}, "kwargs.plain_rate: has no effect"),
        (2.0, {"hvp": "exakt"}, "kwargs.hvp: unknown name 'exakt'; did you mean 'exact'?"),
    ],
)
def test_what_does_not_fit_is_one_line(rate, kwargs, text):
    with pytest.raises(ConfigError) as caught:
        optimizers.make("dal", rate, kwargs)
    assert str(caught.value).startswith(text)
    assert caught.value.field == text.split(":")[0]
    assert "\n" not in str(caught.value)


def test_the_loss_as_a_function_is_needed():
    optimizer = dal(2.0)
    with pytest.raises(ValueError, match=r"dal needs value_fn: call update\(.*value_fn=...\)"):
        optimizer.update(THETA32, optimizer.init(THETA32), THETA32)
    with pytest.raises(ValueError, match="dal needs params"):
        optimizer.update(THETA32, optimizer.init(THETA32), value_fn=loss)
    with pytest.raises(ConfigError, match=r"^name: 'dal' .* have directions alone"):
        optimizers.make("dal", 2.0, {}, with_loss=False)
