"""Every optimiser by name: moves downhill, and its numbers live in its state."""

import jax
import jax.numpy as jnp
import pytest

from lib import optimizers
from lib.optimizers.table import OWN, optax_optimizers

NAMES = sorted(set(optax_optimizers()) | set(OWN))
PARAMS = {"w": jnp.full((3, 2), 2, jnp.float32), "b": jnp.full(2, -1, jnp.float32)}


def loss(params):
    return sum(jnp.sum(x**2) for x in jax.tree.leaves(params))


@pytest.mark.parametrize("name", [n for n in NAMES if n != "noisy_sgd"])
def test_descends_under_jit_without_compiling_again(name):
    optimizer = optimizers.make(name, 1e-3, {}, "config.x")

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
    state = optimizers.make("sgd", 0.1, {"momentum": 0.5, "nesterov": True}, "").init(PARAMS)
    assert {name: float(x) for name, x in state.hyperparams.items()} == pytest.approx(
        {"learning_rate": 0.1, "momentum": 0.5}
    )


def test_the_learning_rate_in_the_state_is_the_one_used():
    optimizer = optimizers.make("sgd", 0.1, {}, "")
    state = optimizer.init(PARAMS)
    state = state._replace(hyperparams={"learning_rate": jnp.float32(3.0)})
    updates, _ = optimizer.update(PARAMS, state, PARAMS)
    assert (updates["w"] == -6).all()
