"""What every optimiser does on every problem: this project's own, and the common ones of optax beside them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lib import optimizers
from lib.optimizers.registry import OWN

pytestmark = pytest.mark.usefixtures("float64")

COMMON = ("sgd", "adam", "adamw", "amsgrad", "adagrad", "yogi", "rmsprop", "lion")
NAMES = (*OWN, *COMMON)
STEPS, RATE = 20, 1e-2


class Problem(NamedTuple):
    """A loss of a pytree and where it starts, with gradients of about 1, so that one rate is right for all."""

    loss: Callable[[Any], jax.Array]
    params: Any


def quadratic(p):
    return (jnp.sum(jnp.array([[1.0, 3.0], [0.3, 10.0]]) * p["w"] ** 2) + p["in"]["scale"] ** 2) / 2


def rosenbrock(p):
    return (1 - p["x"]["a"]) ** 2 / 100 + (p["y"] - p["x"]["a"] ** 2) ** 2


_RANDOM = np.random.default_rng(0)
_X, _Y = _RANDOM.standard_normal((16, 3)), _RANDOM.standard_normal(16)


def network(p):
    hidden = jnp.tanh(_X @ p["layers"]["first"])
    return jnp.mean((hidden @ p["layers"]["second"] + p["bias"] - _Y) ** 2)


PROBLEMS = {
    "quadratic": Problem(quadratic, {"w": np.full((2, 2), 0.2), "in": {"scale": np.array(-1.0)}}),
    "rosenbrock": Problem(rosenbrock, {"x": {"a": np.array(-1.2)}, "y": np.array(1.0)}),
    "network": Problem(
        network,
        {
            "layers": {"first": _RANDOM.standard_normal((3, 4)), "second": _RANDOM.standard_normal(4)},
            "bias": np.array(0.5),
        },
    ),
}


def stepper(name: str, problem: Problem):
    """(step: `(params, state) -> (params, state)`, params, state); as update rules call optimisers, and more."""
    optimizer = optimizers.make(name, RATE, {})

    def step(params, state):
        value, grad = jax.value_and_grad(problem.loss)(params)
        known = {"value": value, "grad": grad, "value_fn": problem.loss}
        updates, state = optimizer.update(grad, state, params, **known, unknown=None)
        return optax.apply_updates(params, updates), state

    params = jax.tree.map(jnp.asarray, problem.params)
    return step, params, optimizer.init(params)


def abstract(tree):
    """Its structure, shapes and dtypes."""
    return jax.tree.structure(tree), [(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(tree)]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", NAMES)
def test_descends_in_double_precision_donated_without_compiling_again(name, problem):
    problem = PROBLEMS[problem]
    step, params, state = stepper(name, problem)
    before, step = abstract((params, state)), jax.jit(step, donate_argnums=(0, 1))
    for _ in range(STEPS):
        params, state = step(params, state)
    assert problem.loss(params) < problem.loss(problem.params)
    assert step._cache_size() == 1
    assert abstract((params, state)) == before
    floats = [x.dtype for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]
    assert set(floats) == {jnp.dtype("float64")}


@pytest.mark.parametrize("name", NAMES)
def test_compiled_equals_not_compiled(name):
    step, *start = stepper(name, PROBLEMS["network"])
    compiled, plain = start, start
    for _ in range(3):
        compiled, plain = jax.jit(step)(*compiled), step(*plain)
    assert abs(compiled[0]["bias"] - start[0]["bias"]) > 0
    close = lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)
    jax.tree.map(close, compiled, plain)


@pytest.mark.parametrize("name", NAMES)
def test_a_state_comes_back_from_its_leaves(name):
    """As a checkpoint keeps it: leaves alone, put in the structure of a first state."""
    step, *start = stepper(name, PROBLEMS["network"])
    step = jax.jit(step)
    whole = step(*step(*start))
    leaves = [np.array(x) for x in jax.tree.leaves(step(*start))]
    parts = step(*jax.tree.unflatten(jax.tree.structure(tuple(start)), map(jnp.asarray, leaves)))
    jax.tree.map(np.testing.assert_array_equal, whole, parts)
