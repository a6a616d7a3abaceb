"""Every optimiser by name: moves downhill, and its numbers live in its state."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lib import optimizers, schema
from lib.errors import ConfigError, within
from lib.optimizers import schedules
from lib.optimizers.registry import OWN, optax_kinds

# noisy_sgd keeps a key, and dpsgd has no privacy to begin with.
NAMES = sorted({*optax_kinds(), *OWN} - {"noisy_sgd", "dpsgd"})
RATES = {"dadapt_adamw": 1.0, "dog": 1.0, "dowg": 1.0, "mechanize": 1.0, "prodigy": 1.0}  # factors
UNSCHEDULED = [name for name, kind in OWN.items() if not kind.scheduled]
PARAMS = {"w": jnp.full((3, 2), 2, jnp.float32), "b": jnp.full(2, -1, jnp.float32)}


def loss(params):
    return sum(jnp.sum(x**2) for x in jax.tree.leaves(params))


def section(name: str, **fields) -> schema.OptimizerSection:
    """Returns an optimiser's section of a config: a constant rate, no arguments, no clipping."""
    constant = {"name": "constant", "kwargs": {}}
    plain = {"kwargs": {}, "schedule": constant, "clip_norm": 0.0, "clip_value": 0.0}
    return schema.OptimizerSection(name=name, learning_rate=0.1, **plain | fields)


@pytest.fixture(scope="module")
def descents():
    """Takes 20 steps of every optimiser: (rates at the start, {name: (params, state)}, programs)."""
    chosen = {name: optimizers.make(name, RATES.get(name, 1e-3), {}) for name in NAMES}

    @jax.jit
    def step(carries):
        new = {}
        for name, (params, state) in carries.items():
            value, grad = jax.value_and_grad(loss)(params)
            updates, state = chosen[name].update(grad, state, params, value=value, grad=grad, value_fn=loss)
            new[name] = jax.tree.map(jnp.add, params, updates), state
        return new

    start = carries = {name: (PARAMS, chosen[name].init(PARAMS)) for name in NAMES}
    for _ in range(20):
        carries = step(carries)
    rates = {name: chosen[name].learning_rate(state) for name, (_, state) in start.items()}
    return rates, carries, step._cache_size()


@pytest.mark.parametrize("name", NAMES)
def test_descends_under_jit_without_compiling_again(descents, name):
    rates, ends, programs = descents
    assert rates[name] == pytest.approx(RATES.get(name, 1e-3))
    assert loss(ends[name][0]) < loss(PARAMS)
    assert programs == 1


@pytest.mark.parametrize("name", OWN)
def test_the_facts_of_an_optimizer_are_those_of_its_state(descents, name):
    """Checks that those that choose their rate, and no others, keep it in their state."""
    _, ends, _ = descents
    keeps_rate = {x for x, (_, state) in ends.items() if optax.tree.get(state, "step_size") is not None}
    assert keeps_rate == {x for x in NAMES if optimizers.kind_of(x).chooses_rate}
    kwargs = {"max_norm": 1.0} if OWN[name].bounds_norm else {}
    norm = optax.tree.norm(optimizers.make(name, 1e-3, kwargs).project(PARAMS))
    assert norm == pytest.approx(1.0 if kwargs else float(optax.tree.norm(PARAMS)), rel=1e-6)


def test_a_random_key_in_the_state_is_refused():
    with pytest.raises(ConfigError, match="^name: 'noisy_sgd' keeps a random key"):
        optimizers.make("noisy_sgd", 1e-3, {})


def test_floats_are_arrays_of_the_state_and_flags_are_not():
    state = optimizers.make("sgd", 0.1, {"momentum": 0.5, "nesterov": True}).init(PARAMS)
    assert {name: float(x) for name, x in state.hyperparams.items()} == pytest.approx(
        {"learning_rate": 0.1, "momentum": 0.5}
    )


def test_the_learning_rate_in_the_state_is_the_one_used():
    optimizer = optimizers.make("sgd", 0.1, {})
    state = optimizer.init(PARAMS)
    state = state._replace(hyperparams={"learning_rate": jnp.float32(3.0)})
    updates, _ = optimizer.update(PARAMS, state, PARAMS)
    assert (updates["w"] == -6).all()


def rates(optimizer, n):
    """Returns the rates that n updates announce, make on a gradient of ones, and say that they used."""
    params = grads = {"w": jnp.ones(3)}

    def step(state, _):
        updates, new = optimizer.update(grads, state, params)
        return new, (optimizer.learning_rate(state), -updates["w"][0], optimizer.used_rate(state, new))

    _, columns = jax.jit(lambda: jax.lax.scan(step, optimizer.init(params), length=n))()
    return [np.asarray(column, float).tolist() for column in columns]


@pytest.mark.parametrize(
    ("name", "kwargs", "factors"),
    [
        ("constant", {}, [1, 1, 1, 1]),
        ("constant_schedule", {"value": 0.5}, [0.5, 0.5, 0.5, 0.5]),
        ("exponential_decay", {"transition_steps": 1, "decay_rate": 0.5}, [1, 0.5, 0.25, 0.125]),
        ("linear_schedule", {"end_value": 0.0, "transition_steps": 4}, [1, 0.75, 0.5, 0.25]),
        ("piecewise_constant_schedule", {"boundaries_and_scales": ((2, 0.2),)}, [1, 1, 0.2, 0.2]),
        ("warmup_constant_schedule", {"warmup_steps": 2}, [0, 0.5, 1, 1]),
        ("harmonic", {"end_step": 2, "end_factor": 0.5}, [1, 2 / 3, 1 / 2, 2 / 5]),
        ("harmonic", {"warm_up_step": 2, "end_step": 3, "end_factor": 0.5}, [0, 0.5, 1, 0.5]),
        ("slingshot", {}, [1, -1, 1, -1]),
        ("slingshot", {"first": -1}, [-1, 1, -1, 1]),
    ],
)
def test_a_schedule_is_a_factor_that_the_next_update_uses(name, kwargs, factors):
    schedule = schedules.make(name, kwargs)
    announced, made, used = rates(optimizers.make("sgd", 0.4, {}, schedule=schedule), 4)
    assert made == pytest.approx([0.4 * f for f in factors], abs=1e-7)
    assert announced == used == pytest.approx(made, abs=1e-7)


def test_an_optimizer_that_chooses_its_rate_announces_its_last_one():
    optimizer = optimizers.make("sgd_hd", 0.4, {"beta": 0.1})
    announced, made, used = rates(optimizer, 4)
    assert made == pytest.approx([0.4, 0.7, 1.0, 1.3])
    assert used == pytest.approx(made)
    assert announced == pytest.approx([0.4, 0.4, 0.7, 1.0])


@pytest.mark.parametrize("name", UNSCHEDULED)
def test_a_rate_that_moves_itself_has_no_schedule(name):
    optimizers.from_config(section(name))
    with (
        pytest.raises(ConfigError, match=rf"^config\.x\.schedule: '{name}' .* use the schedule 'constant'"),
        within("config.x"),
    ):
        schedule = {"name": "cosine_decay_schedule", "kwargs": {"decay_steps": 9}}
        optimizers.from_config(section(name, schedule=schedule))


@pytest.mark.parametrize(
    ("name", "fields", "plain"),
    [
        ("sgd", {}, True),
        ("sgd", {"kwargs": {"momentum": 0.0, "nesterov": True}}, True),
        ("sgd", {"kwargs": {"momentum": -0.5}}, False),
        ("sgd", {"clip_norm": 1.0}, False),
        ("sgd", {"clip_value": 1.0}, False),
        ("adam", {}, False),
        ("sgd_hd", {}, False),
    ],
)
def test_plain_sgd_has_neither_momentum_nor_clipping(name, fields, plain):
    assert optimizers.is_plain_sgd(section(name, **fields)) is plain


def test_a_schedule_that_does_not_fit_is_named_within_its_section():
    with pytest.raises(ConfigError) as caught:
        optimizers.from_config(section("sgd", schedule={"name": "cosine_decay", "kwargs": {}}))
    assert caught.value.field == "schedule.name"


def test_a_rate_of_0_is_allowed_where_the_optimizer_raises_it():
    announced, made, _ = rates(optimizers.make("sgd_hd", 0.0, {"beta": 0.1}), 3)
    assert made == pytest.approx([0, 0.3, 0.6])
    assert announced == pytest.approx([0, 0, 0.3])
    for name in ("sgd", "adam", "alig", "dal", "sps_max"):
        with pytest.raises(ConfigError, match=r"learning_rate: .*use a positive one"):
            optimizers.make(name, 0.0, {})
    with pytest.raises(ConfigError, match="learning_rate: 0 stays 0 by the multiplicative rule"):
        optimizers.make("sgd_hd", 0.0, {"rule": "multiplicative"})


def test_a_rate_without_a_cap_has_no_schedule():
    halved = schedules.make("constant_schedule", {"value": 0.5})
    optimizers.make("alig", 1.0, {}, schedule=halved)
    optimizers.make("alig", 1.0, {"capped": True}, schedule=halved)
    with pytest.raises(ConfigError, match=r"^schedule: has no effect .*leave out kwargs\.capped"):
        optimizers.make("alig", 1.0, {"capped": False}, schedule=halved)


def test_a_scheduled_base_rate_stays_in_the_state():
    schedule = schedules.make("linear_schedule", {"end_value": 0.0, "transition_steps": 4})
    optimizer = optimizers.make("adam", 0.4, {}, schedule=schedule)
    _, state = optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS)
    assert state.hyperparams["learning_rate"] == pytest.approx(0.4)
    state = state._replace(hyperparams=state.hyperparams | {"learning_rate": jnp.float32(0.8)})
    assert optimizer.learning_rate(state) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("name", "kwargs", "text"),
    [
        (
            "cosine_decay",
            {},
            "name: unknown schedule 'cosine_decay'; did you mean 'cosine_decay_schedule'?",
        ),
        ("join_schedules", {}, "name: unknown schedule"),
        ("linear_schedule", {"end_valu": 1.0}, "kwargs.end_valu: 'linear_schedule' takes no such argument"),
        ("constant", {"end": 1.0}, "kwargs.end: "),
        ("linear_schedule", {"end_value": 1.0}, "kwargs: 'linear_schedule' refuses"),
        ("harmonic", {"end_step": 2}, "kwargs: 'harmonic' refuses"),
        ("harmonic", {"end_step": 2, "end_factor": 1.0}, "kwargs: 'harmonic' refuses"),
        ("harmonic", {"end_step": 2, "end_factor": 0.1, "warm_up_step": 2}, "kwargs: 'harmonic' refuses"),
        ("slingshot", {"first": 0}, "kwargs: 'slingshot' refuses"),
        ("constant_schedule", {"value": -1.0}, "kwargs: 'constant_schedule' begins with the factor -1.0"),
    ],
)
def test_bad_schedules_are_one_line(name, kwargs, text):
    with pytest.raises(ConfigError) as caught:
        schedules.make(name, kwargs)
    assert str(caught.value).startswith(text)
    assert caught.value.field == text.split(":")[0]
    assert "\n" not in str(caught.value)


def clipped(grads, **clips):
    """Returns the step of plain SGD at the rate 1 against gradients that are clipped."""
    optimizer = optimizers.make("sgd", 1.0, {}, **clips)
    updates, _ = optimizer.update(grads, optimizer.init(grads), grads)
    return jax.tree.map(jnp.negative, updates)


def test_clipping_is_of_values_and_then_of_the_norm():
    grads = {"w": jnp.array([3.0, -8.0]), "b": jnp.array([0.5])}
    assert clipped(grads)["w"].tolist() == [3.0, -8.0]
    assert clipped(grads, clip_value=4.0)["w"].tolist() == [3.0, -4.0]
    both = clipped(grads, clip_value=4.0, clip_norm=1.0)
    np.testing.assert_allclose(both["w"], np.array([3.0, -4.0]) / np.sqrt(25.25), rtol=1e-6)
    assert clipped(grads, clip_norm=100.0)["b"] == 0.5


def test_momentum_may_be_negative_and_nesterov():
    """Checks b = g + m b; x = x - h b, or with Nesterov x - h (g + m b)."""
    _, made, _ = rates(optimizers.make("sgd", 1.0, {"momentum": -0.5}), 3)
    assert made == pytest.approx([1, 0.5, 0.75])
    _, made, _ = rates(optimizers.make("sgd", 1.0, {"momentum": -0.5, "nesterov": True}), 3)
    assert made == pytest.approx([0.5, 0.75, 0.625])
