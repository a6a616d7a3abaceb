"""Every optimiser by name: moves downhill, and its numbers live in its state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib import optimizers, schema
from lib.errors import ConfigError
from lib.optimizers import schedules
from lib.optimizers.registry import OWN, UNSCHEDULED, optax_optimizers

NAMES = sorted(set(optax_optimizers()) | set(OWN))
PARAMS = {"w": jnp.full((3, 2), 2, jnp.float32), "b": jnp.full(2, -1, jnp.float32)}


def loss(params):
    return sum(jnp.sum(x**2) for x in jax.tree.leaves(params))


@pytest.mark.parametrize("name", [n for n in NAMES if n != "noisy_sgd"])
def test_descends_under_jit_without_compiling_again(name):
    optimizer = optimizers.make(name, 1e-3, {})

    @jax.jit
    def step(params, state):
        value, grad = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grad, state, params, value=value, grad=grad, value_fn=loss)
        return jax.tree.map(jnp.add, params, updates), state

    params, state = PARAMS, optimizer.init(PARAMS)
    assert optimizer.learning_rate(state) == pytest.approx(1e-3)
    for _ in range(20):
        params, state = step(params, state)
    assert loss(params) < loss(PARAMS)
    assert step._cache_size() == 1


def test_floats_are_arrays_of_the_state_and_flags_are_not():
    state = optimizers.make("sgd", 0.1, {"momentum": 0.5, "nesterov": True}).programs.init(PARAMS)
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
    """The rates that n updates announce, those they make on a gradient of ones, and those they tell later."""
    params = grads = {"w": jnp.ones(3)}
    state, announced, made, told = optimizer.init(params), [], [], []
    for _ in range(n):
        before = state
        announced.append(float(optimizer.learning_rate(state)))
        updates, state = optimizer.update(grads, state, params)
        made.append(-float(updates["w"][0]))
        told.append(float(optimizer.used_rate(before, state)))
    return announced, made, told


@pytest.mark.parametrize(
    ("name", "kwargs", "factors"),
    [
        ("constant", {}, [1, 1, 1, 1]),
        ("constant_schedule", {"value": 0.5}, [0.5, 0.5, 0.5, 0.5]),
        ("exponential_decay", {"transition_steps": 1, "decay_rate": 0.5}, [1, 0.5, 0.25, 0.125]),
        ("linear_schedule", {"end_value": 0.0, "transition_steps": 4}, [1, 0.75, 0.5, 0.25]),
        ("piecewise_constant_schedule", {"boundaries_and_scales": ((2, 0.2),)}, [1, 1, 0.2, 0.2]),
        ("warmup_constant_schedule", {"warmup_steps": 2}, [0, 0.5, 1, 1]),
    ],
)
def test_a_schedule_is_a_factor_that_the_next_update_uses(name, kwargs, factors):
    schedule = schedules.make(name, kwargs)
    announced, made, told = rates(optimizers.make("sgd", 0.4, {}, schedule=schedule), 4)
    assert made == pytest.approx([0.4 * f for f in factors], abs=1e-7)
    assert announced == told == pytest.approx(made, abs=1e-7)


def test_an_optimizer_that_chooses_its_rate_announces_its_last_one():
    optimizer = optimizers.make("sgd_hd", 0.4, {"beta": 0.1})
    announced, made, told = rates(optimizer, 4)
    assert made == pytest.approx([0.4, 0.7, 1.0, 1.3])
    assert told == pytest.approx(made)
    assert announced == pytest.approx([0.4, 0.4, 0.7, 1.0])


@pytest.mark.parametrize("name", sorted(UNSCHEDULED))
def test_a_rate_that_moves_itself_has_no_schedule(name):
    def section(schedule, **kwargs):
        schedule = {"name": schedule, "kwargs": kwargs}
        rest = {"kwargs": {}, "schedule": schedule, "clip_norm": 0.0, "clip_value": 0.0}
        return schema.Optimizer(name=name, learning_rate=0.1, **rest)

    optimizers.from_config(section("constant"))
    with pytest.raises(ConfigError, match=rf"config\.x\.schedule: '{name}' .* use the schedule 'constant'"):
        optimizers.from_config(section("cosine_decay_schedule", decay_steps=9))


def test_a_rate_without_a_cap_has_no_schedule():
    halved = schedules.make("constant_schedule", {"value": 0.5})
    optimizers.make("alig", 1.0, {}, schedule=halved)
    with pytest.raises(ConfigError, match=r"x\.schedule: has no effect .*leave out x\.kwargs\.capped"):
        optimizers.make("alig", 1.0, {"capped": False}, schedule=halved)


def test_a_scheduled_base_rate_stays_in_the_state():
    schedule = schedules.make("linear_schedule", {"end_value": 0.0, "transition_steps": 4})
    optimizer = optimizers.make("adam", 0.4, {}, schedule=schedule)
    _, state = optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS)
    assert state.hyperparams["learning_rate"] == pytest.approx(0.4)
    state = state._replace(hyperparams=state.hyperparams | {"learning_rate": jnp.float32(0.8)})
    assert optimizer.learning_rate(state) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("kwargs", "line"),
    [
        (("cosine_decay", {}), r"f\.name: unknown schedule .*'cosine_decay_schedule'"),
        (("join_schedules", {}), r"f\.name: unknown schedule"),
        (("linear_schedule", {"end_valu": 1.0}), r"f\.kwargs\.end_valu: .*did you mean 'end_value'"),
        (("constant", {"end": 1.0}), r"f\.kwargs\.end: 'constant' takes no such argument"),
        (("linear_schedule", {"end_value": 1.0}), r"f\.kwargs: 'linear_schedule' refuses"),
        (("constant_schedule", {"value": -1.0}), r"begins with the factor -1.0"),
    ],
)
def test_bad_schedules_are_one_line(kwargs, line):
    with pytest.raises(ConfigError, match=line) as caught:
        schedules.make(*kwargs, "f")
    assert "\n" not in str(caught.value)


def test_clipping_is_of_values_and_then_of_the_norm():
    grads = {"w": jnp.array([3.0, -8.0]), "b": jnp.array([0.5])}
    step = lambda **clips: (lambda o: jax.tree.map(jnp.negative, o.update(grads, o.init(grads), grads)[0]))(
        optimizers.make("sgd", 1.0, {}, **clips)
    )
    assert step()["w"].tolist() == [3.0, -8.0]
    assert step(clip_value=4.0)["w"].tolist() == [3.0, -4.0]
    both = step(clip_value=4.0, clip_norm=1.0)
    np.testing.assert_allclose(both["w"], np.array([3.0, -4.0]) / np.sqrt(25.25), rtol=1e-6)
    assert step(clip_norm=100.0)["b"] == 0.5


def test_momentum_may_be_negative_and_nesterov():
    """b = g + m b; x = x - h b, or with Nesterov x - h (g + m b)."""
    _, made, _ = rates(optimizers.make("sgd", 1.0, {"momentum": -0.5}), 3)
    assert made == pytest.approx([1, 0.5, 0.75])
    _, made, _ = rates(optimizers.make("sgd", 1.0, {"momentum": -0.5, "nesterov": True}), 3)
    assert made == pytest.approx([0.5, 0.75, 0.625])
