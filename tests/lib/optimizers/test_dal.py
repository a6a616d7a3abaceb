"""DAL: the paper's rule in NumPy, closed forms, losses without curvature, several devices, and life inside optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tanh_net import THETA, X, flat, hessian_vector_product, loss, trained, value_and_gradient

from lib import optimizers
from lib.errors import ConfigError
from lib.games import updates
from lib.games.game import Aux, Game
from lib.optimizers.dal import PRODUCTS, dal
from lib.optimizers.trees import polar
from lib.runtime.devices import AXIS

STEPS, H, CAP, PLAIN = 50, 0.6, 0.8, 0.05
KEY = jax.random.key(0)
THETA32 = jax.tree.map(np.float32, THETA)


def transcribed(p, start=0, stop=STEPS):
    """(parameters, rates, rates before the cap)."""
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
        hessian = jax.hessian(lambda v: loss(unravel(v)))(vector)
        direction = np.arange(1.0, 18.0)
        found = hessian_vector_product(flat(THETA), direction)
        np.testing.assert_allclose(found, hessian @ direction, rtol=1e-11, atol=1e-11)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("start", "stop"), [(0, None), (4, None), (0, 30), (4, 30)])
@pytest.mark.parametrize(("hvp", "atol"), [("exact", 1e-10), ("finite_differences", 1e-8)])
@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 2.0])
def test_fifty_steps_equal_the_rule(p, hvp, atol, start, stop):
    window = {"start": start, "stop": stop, "plain_rate": PLAIN} if (start, stop) != (0, None) else {}
    expected, rates, wanted = transcribed(p, start, stop or STEPS)
    if p:
        assert np.ptp(rates[start:stop]) > 0.1
        assert wanted.min() < CAP
    found, used = trained(
        optimizers.make("dal", H, {"p": p, "cap": CAP, "hvp": hvp, **window}), THETA, STEPS
    )
    np.testing.assert_allclose(used, rates, rtol=0, atol=atol)
    np.testing.assert_allclose(flat(found), expected, rtol=0, atol=atol)


@pytest.mark.usefixtures("float64")
def test_p_of_zero_is_sgd():
    found, _ = trained(dal(H, p=0.0), THETA, STEPS)
    expected, _ = trained(optax.sgd(H), THETA, STEPS)
    np.testing.assert_array_equal(flat(found), flat(expected))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("hvp", PRODUCTS)
def test_a_quadratic_is_reflected(hvp):
    """f = (lam / 2) ||x||^2: H ghat = lam ghat, so the rate is 2 / lam and x <- -x."""
    x = {"a": np.array([0.3, -0.4]), "b": np.array(1.2)}
    f = lambda x: 3.0 * (jnp.sum(x["a"] ** 2) + x["b"] ** 2) / 2
    found, rates = trained(dal(2.0, hvp=hvp), x, 3, f)
    tolerance = 1e-14 if hvp == "exact" else 1e-9
    np.testing.assert_allclose(rates, 2 / 3, rtol=tolerance)
    np.testing.assert_allclose(flat(found), -flat(x), rtol=10 * tolerance)


@pytest.mark.parametrize("hvp", PRODUCTS)
@pytest.mark.parametrize("p", [0.0, 1.0])
def test_a_gradient_of_zero_moves_nothing(p, hvp):
    x = {"a": np.zeros(3, np.float32)}
    for rate in (2.0, 0.0):  # as a schedule may end
        optimizer = optax.inject_hyperparams(dal)(learning_rate=jnp.float32(rate), p=p, hvp=hvp)
        found, rates = trained(optimizer, x, 2, lambda x: jnp.sum(jnp.cosh(x["a"])))
        np.testing.assert_array_equal(flat(found), 0)
        assert np.isfinite(rates).all()


def test_flat_directions_have_the_cap():
    """f = x^4 at x: H ghat = 12 x^2, below h / cap for small x."""
    _, rates = trained(dal(2.0, cap=3.0), np.float32(0.1), 1, lambda x: x**4)
    assert rates == pytest.approx(3.0)
    _, rates = trained(dal(2.0, cap=3.0), np.float32(1.0), 1, lambda x: x**4)
    assert rates == pytest.approx(2 / 12, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_norms_and_directions_fit_float32(scale):
    tree = {"a": np.float32([3.0, 0.0]) * np.float32(scale), "b": np.float32(-4.0) * np.float32(scale)}
    length, direction = polar(tree)
    assert length == pytest.approx(5 * scale, rel=1e-6)
    np.testing.assert_allclose(flat(direction), [0.6, 0.0, -0.8], rtol=1e-6)


LABELS = np.array([1.0, -1.0, 1.0])
MARGIN = lambda t: LABELS * (X @ t["w"][:, 0] + t["out"]["c"])
FLAT = {
    "hinge": lambda t: jnp.mean(jnp.maximum(0, 1 - MARGIN(t))),
    "compiled": jax.jit(lambda t: jnp.mean(jax.nn.relu(1 - MARGIN(t)))),
    "absolute": lambda t: jnp.mean(jnp.abs(MARGIN(t) - 1)),
    "linear": lambda t: -jnp.mean(MARGIN(t)),
    "scanned": lambda t: jax.lax.scan(lambda s, m: (s + jax.nn.relu(1 - m), None), 0.0, MARGIN(t))[0],
}


@pytest.mark.parametrize("hvp", PRODUCTS)
@pytest.mark.parametrize("name", FLAT)
def test_a_loss_without_second_derivative_is_refused(name, hvp):
    with pytest.raises(
        ConfigError, match=r"dal: this loss is piecewise linear .* use a smooth loss"
    ) as caught:
        trained(dal(2.0, hvp=hvp), THETA32, 1, FLAT[name])
    assert "\n" not in str(caught.value)


def test_networks_with_kinks_are_not_refused():
    """The hinge of a network of two layers, and ReLU, have curvature between the layers."""
    net = lambda t: jax.nn.relu(X.astype(np.float32) @ t["w"]) @ t["out"]["v"]
    hinge = lambda t: jnp.mean(jax.nn.relu(3 - LABELS * net(t)))
    _, rates = trained(dal(2.0, cap=100.0), THETA32, 1, hinge)
    assert 0 < rates < 99


def losses(params, state, batch, key):
    """Of one player, on a batch (x, y)."""
    del key
    return {"model": loss(params["model"], batch[:, :3], batch[:, 3])}, Aux(state, {})


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("name", "rate", "kwargs"),
    [
        *(("dal", 2.0, {"hvp": hvp, "cap": 100.0}) for hvp in PRODUCTS),
        ("alig", 100.0, {"momentum": 0.5, "max_norm": 3.0}),
        ("sps_max", 100.0, {}),
        ("polyak_sgd", 100.0, {}),
    ],
)
def test_one_device_equals_two(name, rate, kwargs):
    """Losses, gradients and products are of the whole batch, though its halves differ."""
    optimizer = {"model": optimizers.make(name, rate, kwargs)}
    rule = updates.make(
        "simultaneous", Game(("model",), losses), optimizer, updates.Regularizers.none(("model",))
    )
    rows = np.random.default_rng(5).standard_normal((8, 4))
    halves = [loss(THETA, half[:, :3], half[:, 3]) for half in (rows[:4], rows[4:])]
    assert abs(halves[0] - halves[1]) > 0.1
    on_two = jax.pmap(
        rule.step, AXIS, in_axes=(None, 0, None), out_axes=None, devices=jax.local_devices()[:2]
    )
    one = two = rule.init({"model": jax.tree.map(jnp.asarray, THETA)}, {})
    for _ in range(3):
        before, (one, metrics) = one, jax.jit(rule.step)(one, rows, KEY)
        two, on_both = on_two(two, rows.reshape(2, 4, 4), KEY)
        assert np.abs(flat(one.params) - flat(before.params)).max() > 1e-4
        assert metrics["model_learning_rate"] == pytest.approx(
            float(on_both["model_learning_rate"]), rel=1e-8
        )
    assert 0 < metrics["model_learning_rate"] < 99
    np.testing.assert_allclose(flat(two.params), flat(one.params), rtol=0, atol=1e-8)


def test_in_a_chain_with_momentum_and_a_mask_behind():
    grads = jax.grad(loss)(THETA32)
    frozen = {"w": True, "out": False}
    chain = optax.chain(dal(2.0), optax.trace(0.9), optax.masked(optax.set_to_zero(), frozen))
    moved, state = chain.update(grads, chain.init(THETA32), THETA32, value_fn=loss)
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
    rates = np.asarray(jax.vmap(rate)(powers))
    assert rates[0] == pytest.approx(0.1)
    assert abs(rates[1] - 0.1) > 0.01
    assert rates[2] == pytest.approx(rates[1] ** 2 / 0.1, rel=1e-4)


@pytest.mark.parametrize(
    ("rate", "kwargs", "line"),
    [
        (-2.0, {}, r"learning_rate: -2.0 does not fit; use a positive one"),
        (2.0, {"p": -1.0}, r"p: -1.0 does not fit; use 0 or more"),
        (2.0, {"cap": 0.0}, r"cap: 0.0 does not fit; use a positive one"),
        (2.0, {"start": -1, "plain_rate": 0.1}, r"start: -1 does not fit; use 0 or more"),
        (2.0, {"start": 3, "stop": 3, "plain_rate": 0.1}, r"stop: 3 does not fit; use one above start"),
        (2.0, {"stop": 3}, r"plain_rate: is needed .* set it"),
        (2.0, {"plain_rate": 0.1}, r"plain_rate: has no effect .* leave it out"),
        (2.0, {"hvp": "exakt"}, r"hvp: unknown name 'exakt'.*'exact'"),
    ],
)
def test_what_does_not_fit_is_one_line(rate, kwargs, line):
    with pytest.raises(ConfigError, match=line) as caught:
        optimizers.make("dal", rate, kwargs)
    assert "\n" not in str(caught.value)


def test_the_loss_as_a_function_is_needed():
    optimizer = dal(2.0)
    with pytest.raises(ValueError, match=r"dal needs value_fn: call update\(.*value_fn=...\)"):
        optimizer.update(THETA32, optimizer.init(THETA32), THETA32)
    with pytest.raises(ValueError, match="dal needs params"):
        optimizer.update(THETA32, optimizer.init(THETA32), value_fn=loss)
    with pytest.raises(ConfigError, match=r"f\.name: 'dal' .* have directions alone"):
        optimizers.make("dal", 2.0, {}, with_loss=False)
