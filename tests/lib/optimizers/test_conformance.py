"""What every optimiser does on every problem: our own, optax's common ones, and those of optax.contrib."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lib import optimizers
from lib.optimizers.contrib import contrib_kinds
from lib.optimizers.registry import OWN

pytestmark = pytest.mark.usefixtures("float64")

COMMON = ("sgd", "adam", "adamw", "amsgrad", "adagrad", "yogi", "rmsprop", "lion")
CONTRIB = tuple(name for name in contrib_kinds() if name != "dpsgd")  # which has no default privacy
NAMES = (*OWN, *COMMON, *CONTRIB)
STEPS, RATE = 20, 1e-2
# Of those that find the scale themselves learning_rate is a factor; a short run needs a larger guess.
FACTORS = {
    "dadapt_adamw": (1.0, {"estim_lr0": 1e-2}),
    "dog": (1.0, {"init_step": ("distance", 1e-2)}),
    "dowg": (1.0, {"init_estim_sq_dist": 1e-2}),
    "mechanize": (RATE, {"s_init": 1e-1}),
    "prodigy": (1.0, {"estim_lr0": 1e-2}),
    "simplified_ademamix": (1e-4, {}),  # its momentum is a sum
}


class Problem(NamedTuple):
    """A loss of a pytree and where it starts, with gradients of about 1: one rate is right for all."""

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


OPTIMIZERS = {name: optimizers.make(name, *FACTORS.get(name, (RATE, {}))) for name in NAMES}
CASES = [(name, problem) for name in NAMES for problem in PROBLEMS]


def start(name: str, problem: str):
    """Returns the (params, state) that an optimiser begins a problem with."""
    params = jax.tree.map(jnp.asarray, PROBLEMS[problem].params)
    return params, OPTIMIZERS[name].init(params)


def stepped(name: str, problem: str, params, state):
    """Returns (params, state) after a step; calls the optimiser as update rules do, and with more."""
    loss = PROBLEMS[problem].loss
    value, grad = jax.value_and_grad(loss)(params)
    known = {"value": value, "grad": grad, "value_fn": loss}
    updates, state = OPTIMIZERS[name].update(grad, state, params, **known, unknown=None)
    return optax.apply_updates(params, updates), state


def stepped_all(carries):
    """Takes steps in all cases, so that they are one program."""
    return {case: stepped(*case, *carry) for case, carry in carries.items()}


def abstract(tree):
    """Returns the structure, shapes and dtypes of a tree."""
    return jax.tree.structure(tree), [(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(tree)]


class Course(NamedTuple):
    """What the steps of all cases come to: {case: (params, state)}.

    Attributes:
      before: {case: structure, shapes and dtypes before the first step}.
      compiled: after three compiled steps.
      end: after STEPS compiled steps, all of whose arguments were donated.
      from_leaves: after a third step from the leaves of the carries alone, as a checkpoint keeps them.
      programs: how many were compiled for the donated steps.
    """

    before: dict
    compiled: dict
    end: dict
    from_leaves: dict
    programs: int


@pytest.fixture(scope="module")
def course():
    """Takes the steps of all cases."""
    with jax.enable_x64(True):
        step = jax.jit(stepped_all, donate_argnums=0)
        carries = {case: start(*case) for case in CASES}  # no copies: `init` makes what can be donated
        structure, before = jax.tree.structure(carries), {case: abstract(x) for case, x in carries.items()}
        compiled = from_leaves = None
        for n in range(STEPS):
            if n == 2:
                leaves = [np.array(x) for x in jax.tree.leaves(carries)]
            carries = step(carries)
            if n == 2:
                compiled = jax.tree.map(np.array, carries)
                restored = jax.tree.unflatten(structure, map(jnp.asarray, leaves))
                from_leaves = jax.tree.map(np.array, step(restored))
        return Course(before, compiled, carries, from_leaves, step._cache_size())


@pytest.mark.parametrize(("name", "problem"), CASES)
def test_descends_in_double_precision_donated_without_compiling_again(course, name, problem):
    params, state = course.end[name, problem]
    loss, first = PROBLEMS[problem]
    assert loss(params) < loss(first)
    assert course.programs == 1
    assert abstract((params, state)) == course.before[name, problem]
    floats = [x.dtype for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]
    assert set(floats) == {jnp.dtype("float64")}


@pytest.mark.parametrize("name", NAMES)
def test_compiled_equals_not_compiled(course, name):
    first = plain = start(name, "network")
    compiled = course.compiled[name, "network"]
    for _ in range(3):
        plain = stepped(name, "network", *plain)
    assert abs(compiled[0]["bias"] - first[0]["bias"]) > 0
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12), compiled, plain)


@pytest.mark.parametrize("name", NAMES)
def test_a_state_comes_back_from_its_leaves(course, name):
    """Checks that leaves alone, as a checkpoint keeps them, continue in the structure of a first state."""
    whole, parts = course.compiled[name, "network"], course.from_leaves[name, "network"]
    jax.tree.map(np.testing.assert_array_equal, whole, parts)
