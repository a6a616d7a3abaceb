"""Hypergradient descent: the papers' algorithms in NumPy, closed forms, and life inside optax's combinators."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tanh_net import THETA, flat, loss, trained, value_and_gradient

from lib import optimizers
from lib.errors import ConfigError
from lib.optimizers.hypergradient import hypergradient
from lib.optimizers.registry import OWN

PRESETS = ("sgd_hd", "sgdn_hd", "adam_hd")
STEPS = 50
MU, B1, B2, EPS, DECAY = 0.9, 0.8, 0.95, 1e-8, 0.05


def transcribed(preset, alpha, beta, rule, decay, bounds):
    """Algorithms 4, 5 and 6: (parameters, [rate of every step])."""
    theta, rates = flat(THETA), []
    u = v = m = s = np.zeros_like(theta)
    for t in range(1, STEPS + 1):
        g = value_and_gradient(theta)[1] + decay * theta
        product = g @ u
        if rule == "multiplicative":
            size = np.linalg.norm(g) * np.linalg.norm(u)
            alpha = alpha if t == 1 else alpha * (1 + beta * product / size)
        else:
            alpha = alpha + beta * product
        alpha = min(max(alpha, bounds[0]), bounds[1])
        if preset == "sgd_hd":
            u = g
        elif preset == "sgdn_hd":
            v = MU * v + g
            u = g + MU * v
        else:
            m = B1 * m + (1 - B1) * g
            s = B2 * s + (1 - B2) * g**2
            u = (m / (1 - B1**t)) / (np.sqrt(s / (1 - B2**t)) + EPS)
        theta = theta - alpha * u
        rates.append(alpha)
    return theta, np.array(rates)


KWARGS = {"sgd_hd": {}, "sgdn_hd": {"momentum": MU}, "adam_hd": {"b1": B1, "b2": B2, "eps": EPS}}
# (alpha_0, beta of the additive rule, beta of the multiplicative one, bounds that cut)
NUMBERS = {
    "sgd_hd": (0.05, 0.05, 0.05, (0.04, 0.07)),
    "sgdn_hd": (0.02, 1e-3, 0.05, (0.0199, 0.021)),
    "adam_hd": (0.02, 1e-3, 0.05, (0.015, 0.025)),
}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("decay", [0.0, DECAY], ids=["", "decay"])
@pytest.mark.parametrize("bounded", [False, True], ids=["", "bounded"])
@pytest.mark.parametrize("rule", ["additive", "multiplicative"])
@pytest.mark.parametrize("preset", PRESETS)
def test_fifty_steps_equal_the_algorithm(preset, rule, bounded, decay):
    alpha, additive, multiplicative, bounds = NUMBERS[preset]
    beta = additive if rule == "additive" else multiplicative
    kwargs = {**KWARGS[preset], "rule": rule, "beta": beta}
    kwargs |= {"weight_decay": decay} if decay else {}
    kwargs |= dict(zip(("min_rate", "max_rate"), bounds, strict=True)) if bounded else {}
    free = transcribed(preset, alpha, beta, rule, decay, (-np.inf, np.inf))
    expected, rates = transcribed(preset, alpha, beta, rule, decay, bounds) if bounded else free
    assert rates[0] == alpha
    assert np.ptp(rates) > 0.02 * alpha
    if bounded:
        assert np.abs(rates - free[1]).max() > 1e-4
        assert set(rates) & set(bounds)
    found, used = trained(optimizers.make(preset, alpha, kwargs), THETA, STEPS)
    np.testing.assert_allclose(used, rates, rtol=0, atol=1e-10)
    np.testing.assert_allclose(flat(found), expected, rtol=0, atol=1e-10)


@pytest.mark.usefixtures("float64")
def test_the_rate_descends_along_the_derivative_of_the_loss_in_it():
    theta, alpha, beta = jax.tree.map(jnp.asarray, THETA), 0.1, 0.01
    u = jax.grad(loss)(theta)
    after = lambda rate: loss(jax.tree.map(lambda p, d: p - rate * d, theta, u))
    _, rates = trained(optimizers.make("sgd_hd", alpha, {"beta": beta}), THETA, 2)
    assert abs(rates[1] - alpha) > 1e-4
    assert rates[1] == pytest.approx(alpha - beta * float(jax.grad(after)(alpha)), rel=1e-12)


BASES = {
    "sgd_hd": optax.sgd(0.03),
    "sgdn_hd": optax.sgd(0.03, MU, nesterov=True),
    "adam_hd": optax.adam(0.03, B1, B2, EPS),
}


@pytest.mark.parametrize("decay", [None, DECAY], ids=["", "decay"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("rule", ["additive", "multiplicative"])
@pytest.mark.parametrize("preset", PRESETS)
def test_beta_zero_is_the_base_optimizer_bitwise(preset, rule, dtype, decay):
    theta = jax.tree.map(lambda x: jnp.asarray(x, dtype), THETA)
    value_fn = lambda p: loss(p).astype(dtype)
    adaptive = OWN[preset](0.03, beta=0.0, rule=rule, weight_decay=decay, **KWARGS[preset])
    base = BASES[preset] if decay is None else optax.chain(optax.add_decayed_weights(decay), BASES[preset])
    with jax.disable_jit(dtype == jnp.bfloat16):  # what XLA fuses it may leave unrounded
        expected, _ = trained(base, theta, 20, value_fn)
        found, rates = trained(adaptive, theta, 20, value_fn)
    assert np.abs(flat(found).astype(float) - flat(theta).astype(float)).max() > 0.01
    assert flat(found).tobytes() == flat(expected).tobytes()
    assert (rates == jnp.float32(0.03)).all()


LAM, X0, ALPHA = 2.0, 3.0, 0.1


def square(x):
    return LAM / 2 * x**2


@pytest.mark.usefixtures("float64")
def test_the_additive_rule_on_a_quadratic():
    """alpha_{t+1} = alpha_t + beta lam^2 x_t x_{t-1}, and x_t = (1 - lam alpha_t) x_{t-1}."""
    found, rates = trained(optimizers.make("sgd_hd", ALPHA, {"beta": 0.01}), X0, 3, square)
    x1 = (1 - LAM * ALPHA) * X0
    second = ALPHA + 0.01 * LAM**2 * x1 * X0
    x2 = (1 - LAM * second) * x1
    third = second + 0.01 * LAM**2 * x2 * x1
    assert rates.tolist() == pytest.approx([ALPHA, second, third], rel=1e-12)
    assert float(found) == pytest.approx((1 - LAM * third) * x2, rel=1e-12)


@pytest.mark.usefixtures("float64")
def test_the_multiplicative_rule_on_a_quadratic():
    """In one dimension the cosine is 1, and -1 after a step that overshot: one above 1 / lam."""
    kwargs = {"beta": 0.5, "rule": "multiplicative"}
    _, rates = trained(optimizers.make("sgd_hd", ALPHA, kwargs), X0, 8, square)
    overshot = 5  # 0.1 * 1.5^4 > 1/2
    expected = ALPHA * np.cumprod([0.5 if t == overshot else 1.5 for t in range(8)]) / 1.5
    assert expected[overshot - 2] < 1 / LAM < expected[overshot - 1]
    assert rates.tolist() == pytest.approx(expected.tolist(), rel=1e-12)


def test_the_rate_is_more_exact_than_its_parameters():
    """In bfloat16 the rate 0.01 could not grow by a thousandth."""
    theta = jnp.ones(300, jnp.bfloat16)
    optimizer = optimizers.make("sgd_hd", 0.01, {"beta": 1e-7})
    _, rates = trained(optimizer, theta, 2, jnp.sum)
    assert rates.dtype == jnp.float32
    assert rates[1] - rates[0] == pytest.approx(300 * 1e-7, rel=1e-2)


ADAPTIVE = hypergradient(optax.scale_by_adam(B1), 0.02, 1e-3)


@pytest.mark.usefixtures("float64")
def test_clipping_comes_before_the_inner_product():
    clipped = optimizers.make("sgd_hd", 0.1, {"beta": 0.5}, clip_norm=0.01)
    _, rates = trained(clipped, X0, 2, square)
    assert rates.tolist() == pytest.approx([0.1, 0.1 + 0.5 * 0.01**2], rel=1e-12)


@pytest.mark.usefixtures("float64")
def test_what_is_masked_or_none_takes_no_part():
    mask = {"w": True, "out": False}
    rest = optax.masked(optax.set_to_zero(), {"w": False, "out": True})
    found, rates = trained(optax.chain(optax.masked(ADAPTIVE, mask), rest), THETA, STEPS)
    alone, expected = trained(
        ADAPTIVE, {"w": THETA["w"], "out": None}, STEPS, lambda p: loss({**p, "out": THETA["out"]})
    )
    assert np.ptp(rates) > 1e-3
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    np.testing.assert_allclose(found["w"], alone["w"], rtol=1e-12)
    assert (found["out"]["v"] == THETA["out"]["v"]).all()


@pytest.mark.usefixtures("float64")
def test_groups_of_multi_transform_have_rates_of_their_own():
    theta = jax.tree.map(jnp.asarray, THETA)
    sgd_hd = hypergradient(optax.identity(), 0.1, 0.05)
    optimizer = optax.multi_transform({"a": sgd_hd, "b": sgd_hd}, {"w": "a", "out": "b"})
    state, gradients = optimizer.init(theta), []
    for _ in range(2):
        gradients.append(jax.grad(loss)(theta))
        updates, state = optimizer.update(gradients[-1], state, theta)
        theta = optax.apply_updates(theta, updates)
    for group, part in (("a", "w"), ("b", "out")):
        product = flat(gradients[0][part]) @ flat(gradients[1][part])
        rate = optax.tree.get(state.inner_states[group], "step_size")
        assert abs(product) > 1e-3
        assert float(rate) == pytest.approx(0.1 + 0.05 * product, rel=1e-12)


@pytest.mark.usefixtures("float64")
def test_a_population_of_first_rates_and_betas_in_the_state():
    optimizer = optimizers.make("adam_hd", 1.0, {"beta": 1.0})
    alphas, betas = jnp.array([0.02, 0.01, 0.03]), jnp.array([1e-3, 1e-4, 0.0])

    def one(alpha, beta):
        def init(params):
            state = optimizer.init(params)
            return state._replace(hyperparams=state.hyperparams | {"learning_rate": alpha, "beta": beta})

        return trained(optimizer._replace(init=init), THETA, STEPS)

    found, rates = jax.vmap(one)(alphas, betas)
    for i, (alpha, beta) in enumerate(zip(alphas.tolist(), betas.tolist(), strict=True)):
        theta, expected = trained(optimizers.make("adam_hd", alpha, {"beta": beta}), THETA, STEPS)
        assert expected[0] == alpha
        np.testing.assert_allclose(rates[i], expected, rtol=1e-10)
        np.testing.assert_allclose(found["w"][i], theta["w"], rtol=1e-10)


@pytest.mark.parametrize(
    ("kwargs", "line"),
    [
        ({"rule": "multiplicativ"}, r"x\.kwargs: 'sgd_hd' refuses .* did you mean 'multiplicative'\?"),
        ({"beta": -1e-3}, r"x\.kwargs: .* beta: -0\.001 does not fit; use 0, which leaves"),
        ({"beta": "nan"}, r"beta: 'nan' does not fit"),
        ({"weight_decay": -1.0}, r"weight_decay: -1\.0 does not fit; use 0 or more"),
        ({"min_rate": 0.2}, r"min_rate 0\.2 is above the first rate 0\.1; use at most that"),
        ({"max_rate": 0.05}, r"the first rate 0\.1 is above max_rate 0\.05"),
        ({"alpha": 0.1}, r"x\.kwargs\.alpha: 'sgd_hd' takes no such argument"),
    ],
)
def test_bad_arguments_are_one_line(kwargs, line):
    with pytest.raises(ConfigError, match=line) as caught:
        optimizers.make("sgd_hd", 0.1, kwargs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: OWN["sgdn_hd"](0.1, momentum=1.0), "momentum: 1.0 does not fit"),
        (lambda: OWN["adam_hd"](0.1, b2=1.0), "b2: 1.0 does not fit; use 0 or more, below 1"),
        (lambda: OWN["sgd_hd"](float("nan")), "the first rate: nan does not fit"),
        (lambda: OWN["sgd_hd"](optax.constant_schedule(0.1)), "the first rate: a schedule cannot govern"),
        (lambda: OWN["sgd_hd"](0.1, beta=optax.constant_schedule(0.1)), "beta: a schedule is no number"),
        (lambda: OWN["alig"](optax.constant_schedule(0.1)), "learning_rate: a schedule is no number"),
    ],
)
def test_bad_numbers_are_refused_in_python_too(make, line):
    with pytest.raises(ValueError, match=line):
        make()
