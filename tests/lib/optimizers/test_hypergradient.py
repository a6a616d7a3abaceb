"""Hypergradient descent: the papers' algorithms in NumPy, closed forms, and optax's combinators."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tanh_net import THETA, flat, loss, trained, trained_all, value_and_gradient

from lib import optimizers
from lib.errors import ConfigError
from lib.optimizers.hypergradient import RATE_RULES, hypergradient
from lib.optimizers.registry import OWN

PRESETS = ("sgd_hd", "sgdn_hd", "adam_hd")
STEPS = 50
MU, B1, B2, EPS, DECAY = 0.9, 0.8, 0.95, 1e-8, 0.05


def transcribed(preset, alpha, beta, rule, decay, bounds):
    """Follows Algorithms 4, 5 and 6: (parameters, [rate of every step])."""
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


CASES = list(itertools.product(PRESETS, ("additive", "multiplicative"), (False, True), (0.0, DECAY)))


def settings(preset, rule, bounded, decay):
    """Returns (alpha_0, beta, bounds or None, arguments of the optimiser) of a case."""
    alpha, additive, multiplicative, bounds = NUMBERS[preset]
    beta = additive if rule == "additive" else multiplicative
    kwargs = {**KWARGS[preset], "rule": rule, "beta": beta}
    kwargs |= {"weight_decay": decay} if decay else {}
    kwargs |= dict(zip(("min_rate", "max_rate"), bounds, strict=True)) if bounded else {}
    return alpha, beta, bounds, kwargs


@pytest.fixture(scope="module")
def runs():
    """Takes fifty steps of all cases, in double precision and in one program."""
    with jax.enable_x64(True):
        chosen = {}
        for case in CASES:
            alpha, _, _, kwargs = settings(*case)
            chosen[case] = (optimizers.make(case[0], alpha, kwargs), THETA)
        return jax.device_get(trained_all(chosen, STEPS))


@pytest.mark.parametrize(("preset", "rule", "bounded", "decay"), CASES)
def test_fifty_steps_equal_the_algorithm(runs, preset, rule, bounded, decay):
    alpha, beta, bounds, _ = settings(preset, rule, bounded, decay)
    free = transcribed(preset, alpha, beta, rule, decay, (-np.inf, np.inf))
    expected, rates = transcribed(preset, alpha, beta, rule, decay, bounds) if bounded else free
    assert rates[0] == alpha
    assert np.ptp(rates) > 0.02 * alpha
    if bounded:
        assert np.abs(rates - free[1]).max() > 1e-4
        assert set(rates) & set(bounds)
    theta, used = runs[preset, rule, bounded, decay]
    np.testing.assert_allclose(used, rates, rtol=0, atol=1e-10)
    np.testing.assert_allclose(flat(theta), expected, rtol=0, atol=1e-10)


@pytest.mark.usefixtures("float64")
def test_the_rate_descends_along_the_derivative_of_the_loss_in_it():
    theta, alpha, beta = jax.tree.map(jnp.asarray, THETA), 0.1, 0.01
    u = jax.jit(jax.grad(loss))(theta)

    def after(rate):
        return loss(jax.tree.map(lambda p, d: p - rate * d, theta, u))

    _, rates = trained(optimizers.make("sgd_hd", alpha, {"beta": beta}), THETA, 2)
    assert abs(rates[1] - alpha) > 1e-4
    assert rates[1] == pytest.approx(alpha - beta * float(jax.jit(jax.grad(after))(alpha)), rel=1e-12)


BASES = {
    "sgd_hd": optax.sgd(0.03),
    "sgdn_hd": optax.sgd(0.03, MU, nesterov=True),
    "adam_hd": optax.adam(0.03, B1, B2, EPS),
}


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def still(request):
    """Takes steps with beta 0, and of the base optimisers: ({(preset, decay, rule): ...}, the start)."""
    dtype, steps = jnp.dtype(request.param), 20
    theta = jax.tree.map(lambda x: jnp.asarray(x, dtype), THETA)
    chosen = {}
    for preset, decay in itertools.product(PRESETS, (None, DECAY)):
        base = (
            BASES[preset] if decay is None else optax.chain(optax.add_decayed_weights(decay), BASES[preset])
        )
        chosen[preset, str(decay), "base"] = base, theta
        for rule in RATE_RULES:
            factory = OWN[preset].factory
            adaptive = factory(0.03, beta=0.0, rule=rule, weight_decay=decay, **KWARGS[preset])
            chosen[preset, str(decay), rule] = adaptive, theta
    # Else XLA may leave unrounded what it fuses.
    rounded = {"xla_allow_excess_precision": False}
    return trained_all(chosen, steps, lambda p: loss(p).astype(dtype), **rounded), theta


@pytest.mark.parametrize("decay", [None, DECAY], ids=["", "decay"])
@pytest.mark.parametrize("rule", RATE_RULES)
@pytest.mark.parametrize("preset", PRESETS)
def test_beta_zero_is_the_base_optimizer_bitwise(still, preset, rule, decay):
    runs, start = still
    (expected, _), (end, rates) = runs[preset, str(decay), "base"], runs[preset, str(decay), rule]
    assert np.abs(flat(end).astype(float) - flat(start).astype(float)).max() > 0.01
    assert flat(end).tobytes() == flat(expected).tobytes()
    assert (rates == jnp.float32(0.03)).all()


LAM, X0, ALPHA = 2.0, 3.0, 0.1


def square(x):
    return LAM / 2 * x**2


@pytest.mark.usefixtures("float64")
def test_the_additive_rule_on_a_quadratic():
    """Checks alpha_{t+1} = alpha_t + beta lam^2 x_t x_{t-1}, and x_t = (1 - lam alpha_t) x_{t-1}."""
    end, rates = trained(optimizers.make("sgd_hd", ALPHA, {"beta": 0.01}), X0, 3, square)
    x1 = (1 - LAM * ALPHA) * X0
    second = ALPHA + 0.01 * LAM**2 * x1 * X0
    x2 = (1 - LAM * second) * x1
    third = second + 0.01 * LAM**2 * x2 * x1
    assert rates.tolist() == pytest.approx([ALPHA, second, third], rel=1e-12)
    assert float(end) == pytest.approx((1 - LAM * third) * x2, rel=1e-12)


@pytest.mark.usefixtures("float64")
def test_the_multiplicative_rule_on_a_quadratic():
    """Checks that in one dimension the cosine is 1, and -1 after a step above 1 / lam, which overshot."""
    kwargs = {"beta": 0.5, "rule": "multiplicative"}
    _, rates = trained(optimizers.make("sgd_hd", ALPHA, kwargs), X0, 8, square)
    overshot = 5  # 0.1 * 1.5^4 > 1/2
    expected = ALPHA * np.cumprod([0.5 if t == overshot else 1.5 for t in range(8)]) / 1.5
    assert expected[overshot - 2] < 1 / LAM < expected[overshot - 1]
    assert rates.tolist() == pytest.approx(expected.tolist(), rel=1e-12)


def test_the_rate_is_more_exact_than_its_parameters():
    """Checks that the rate 0.01 grows by a thousandth, as it could not in bfloat16."""
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
    end, rates = trained(optax.chain(optax.masked(ADAPTIVE, mask), rest), THETA, STEPS)
    alone, expected = trained(
        ADAPTIVE, {"w": THETA["w"], "out": None}, STEPS, lambda p: loss({**p, "out": THETA["out"]})
    )
    assert np.ptp(rates) > 1e-3
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    np.testing.assert_allclose(end["w"], alone["w"], rtol=1e-12)
    assert (end["out"]["v"] == THETA["out"]["v"]).all()


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

    ends, rates = jax.vmap(one)(alphas, betas)
    pairs = list(zip(alphas.tolist(), betas.tolist(), strict=True))
    alone = {(a, b): (optimizers.make("adam_hd", a, {"beta": b}), THETA) for a, b in pairs}
    for i, (pair, (theta, expected)) in enumerate(trained_all(alone, STEPS).items()):
        assert expected[0] == pair[0]
        np.testing.assert_allclose(rates[i], expected, rtol=1e-10)
        np.testing.assert_allclose(ends["w"][i], theta["w"], rtol=1e-10)


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        (
            {"rule": "multiplicativ"},
            "kwargs.rule: unknown name 'multiplicativ'; did you mean 'multiplicative'?",
        ),
        (
            {"beta": -1e-3},
            "kwargs.beta: -0.001 does not fit; use 0, which leaves the rate as it is, or more",
        ),
        ({"beta": "nan"}, "kwargs.beta: "),
        ({"weight_decay": -1.0}, "kwargs.weight_decay: "),
        ({"min_rate": 0.2}, "kwargs.min_rate: 0.2 is above learning_rate 0.1; use at most that"),
        ({"max_rate": 0.05}, "learning_rate: 0.1 is above max_rate 0.05"),
        ({"alpha": 0.1}, "kwargs.alpha: "),
    ],
)
def test_bad_arguments_are_one_line(kwargs, text):
    with pytest.raises(ConfigError) as caught:
        optimizers.make("sgd_hd", 0.1, kwargs)
    assert str(caught.value).startswith(text)
    assert caught.value.field == text.split(":")[0]
    assert "\n" not in str(caught.value)


SCHEDULE = optax.constant_schedule(0.1)


@pytest.mark.parametrize(
    ("name", "rate", "kwargs", "text"),
    [
        ("sgdn_hd", 0.1, {"momentum": 1.0}, "momentum: 1.0 does not fit"),
        ("adam_hd", 0.1, {"b2": 1.0}, "b2: 1.0 does not fit; use 0 or more, below 1"),
        ("sgd_hd", float("nan"), {}, "learning_rate: nan does not fit"),
        ("sgd_hd", SCHEDULE, {}, "learning_rate: a schedule cannot govern"),
        ("sgd_hd", 0.1, {"beta": SCHEDULE}, "beta: a schedule is no number"),
        ("alig", SCHEDULE, {}, "learning_rate: a schedule is no number"),
    ],
)
def test_bad_numbers_are_refused_in_python_too(name, rate, kwargs, text):
    with pytest.raises(ValueError, match=f"^{text}"):
        OWN[name].factory(rate, **kwargs)
