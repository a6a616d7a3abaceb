"""The rivals of ALI-G's paper against their algorithms in NumPy, in float64: DFW, L4 and BPGrad."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tanh_net import THETA, flat, trained_all, value_and_gradient

from lib import optimizers
from lib.errors import ConfigError
from lib.optimizers.registry import OWN

STEPS, MU, DECAY = 40, 0.6, 0.02
CASES = {
    "dfw": ("dfw", 1.0, {"weight_decay": DECAY}),
    "dfw, momentum": ("dfw", 0.5, {"weight_decay": DECAY, "momentum": MU}),
    "bpgrad": ("bpgrad", 0.3, {}),
    "bpgrad, momentum": ("bpgrad", 0.1, {"momentum": MU, "lower_bound": -0.01}),
    "l4_mom": ("l4_mom", 0.15, {}),
    "l4_adam": ("l4_adam", 0.15, {"b2": 0.99, "tau": 0.01}),
}


@pytest.fixture(scope="module")
def runs():
    """Returns {case: (parameters, rates)} after some steps."""
    with jax.enable_x64(True):
        made = {case: (optimizers.make(*args), THETA) for case, args in CASES.items()}
        return jax.device_get(trained_all(made, STEPS))


def dfw(eta, weight_decay, momentum=0.0):
    """Follows Deep Frank-Wolfe; yields (w, rate) after each step."""
    w, z = flat(THETA), 0.0
    for _ in range(STEPS):
        loss, delta = value_and_gradient(w)
        r = weight_decay * w
        gamma = np.clip((loss - eta * delta @ r) / (eta * delta @ delta + 1e-5), 0, 1)
        z = momentum * z - eta * gamma * (delta + r)
        w = w - eta * (r + gamma * delta) + momentum * z
        yield w, eta * gamma


def bpgrad(eta, momentum=0.0, lower_bound=0.0):
    """Follows Algorithm 1 with N = 1 and L = 1 / eta."""
    w, v = flat(THETA), 0.0
    for _ in range(STEPS):
        loss, g = value_and_gradient(w)
        rate = eta * (loss - lower_bound) / (np.linalg.norm(g) + 1e-5)
        v = momentum * v - rate * g
        w = w + v
        yield w, rate


def l4(alpha, b2=None, tau=1e-3):
    """Follows Algorithm 1 with the mean of gradients, or with Adam's direction where there is b2."""
    w, m, s, least = flat(THETA), 0.0, 0.0, None
    for t in range(1, STEPS + 1):
        loss, gradient = value_and_gradient(w)
        m = 0.9 * m + 0.1 * gradient
        g = v = m / (1 - 0.9**t)
        if b2 is not None:
            s = b2 * s + (1 - b2) * gradient**2
            v = g / (np.sqrt(s / (1 - b2**t)) + 1e-8)
        least = min(0.75 * loss if least is None else least, loss)
        rate = alpha * (loss - 0.9 * least) / (g @ v + 1e-12)
        w, least = w - rate * v, (1 + tau) * least
        yield w, rate


ORACLES = {
    "dfw": lambda: dfw(1.0, DECAY),
    "dfw, momentum": lambda: dfw(0.5, DECAY, MU),
    "bpgrad": lambda: bpgrad(0.3),
    "bpgrad, momentum": lambda: bpgrad(0.1, MU, -0.01),
    "l4_mom": lambda: l4(0.15),
    "l4_adam": lambda: l4(0.15, 0.99, 0.01),
}


@pytest.mark.parametrize("case", CASES)
def test_steps_are_those_of_the_algorithm(runs, case):
    points, rates = zip(*ORACLES[case](), strict=True)
    theta, used = runs[case]
    np.testing.assert_allclose(used, rates, rtol=1e-8)
    np.testing.assert_allclose(flat(theta), points[-1], rtol=0, atol=1e-9)
    assert len(np.unique(rates)) >= 4
    assert value_and_gradient(points[-1])[0] < 0.6 * value_and_gradient(flat(THETA))[0]


@pytest.mark.usefixtures("float64")
def test_dfw_s_step_is_the_best_of_the_proximal_problem():
    """Compares gamma with a search for the largest value of the dual of the linear problem."""
    eta, optimizer = 0.7, optimizers.make("dfw", 0.7, {"weight_decay": DECAY, "eps": 1e-12})
    theta = jax.tree.map(jnp.asarray, THETA)
    loss, delta = value_and_gradient(flat(THETA))
    r = DECAY * flat(THETA)
    gammas = np.linspace(0, 1, 200_001)
    # max over gamma in [0, 1] of  gamma loss - eta / 2 ||r + gamma delta||^2
    dual = gammas * loss - eta / 2 * (r @ r + 2 * gammas * (r @ delta) + gammas**2 * (delta @ delta))
    leaves, structure = jax.tree.flatten(theta)
    parts = zip(np.split(delta, np.cumsum([x.size for x in leaves])[:-1]), leaves, strict=True)
    grads = jax.tree.unflatten(structure, [jnp.asarray(part).reshape(x.shape) for part, x in parts])
    before = optimizer.init(theta)
    _, after = optimizer.update(grads, before, theta, value=loss)
    assert 0 < gammas[dual.argmax()] < 1
    assert float(optimizer.used_rate(before, after)) / eta == pytest.approx(gammas[dual.argmax()], abs=1e-5)


@pytest.mark.parametrize("name", ["bpgrad", "dfw", "l4_mom", "l4_adam"])
def test_a_loss_below_its_bound_gives_no_rate(name):
    assert OWN[name].bound == "lower_bound"
    optimizer = optimizers.make(name, 0.1, {})
    params = {"w": jnp.ones(3)}
    state = optimizer.init(params)
    _, new = optimizer.update(params, state, params, value=jnp.float32(-0.1))
    assert jnp.isnan(optimizer.used_rate(state, new))


@pytest.mark.parametrize("name", ["dfw", "bpgrad", "l4_mom", "l4_adam"])
def test_a_gradient_of_zero_moves_nothing(name):
    optimizer = optimizers.make(name, 0.1, {})
    params = {"w": jnp.ones(3)}
    zero = {"w": jnp.zeros(3)}
    updates, _ = optimizer.update(zero, optimizer.init(params), params, value=jnp.float32(1.0))
    np.testing.assert_array_equal(updates["w"], 0)


@pytest.mark.parametrize(
    ("name", "rate", "kwargs", "field"),
    [
        ("dfw", 0.0, {}, "learning_rate"),
        ("dfw", 1.0, {"momentum": 1.0}, "kwargs.momentum"),
        ("dfw", 1.0, {"weight_decay": -1.0}, "kwargs.weight_decay"),
        ("dfw", 1.0, {"eps": 0.0}, "kwargs.eps"),
        ("bpgrad", 1.0, {"momentum": -0.1}, "kwargs.momentum"),
        ("l4_mom", 0.15, {"gamma": 1.1}, "kwargs.gamma"),
        ("l4_mom", 0.15, {"momentum": 1.0}, "kwargs.momentum"),
        ("l4_adam", 0.15, {"b2": 1.0}, "kwargs.b2"),
        ("l4_adam", 0.15, {"tau": -1.0}, "kwargs.tau"),
        ("l4_adam", 0.0, {}, "learning_rate"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(name, rate, kwargs, field):
    with pytest.raises(ConfigError) as error:
        optimizers.make(name, rate, kwargs)
    assert error.value.field == field


@pytest.mark.parametrize("name", ["dfw", "bpgrad", "l4_mom", "l4_adam"])
def test_without_the_loss_they_say_how_to_call_them(name):
    params = {"w": jnp.ones(3)}
    transform = OWN[name].factory(learning_rate=0.1)
    with pytest.raises(ValueError, match=f"{name} needs value: call update"):
        transform.update(params, transform.init(params), params)
