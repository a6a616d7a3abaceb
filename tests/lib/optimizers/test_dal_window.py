"""DAL between two updates, and a fixed rate before and after: what is computed, and on several devices."""

import jax
import jax.numpy as jnp
import pytest
from conftest import largest_difference, trained

from lib.optimizers.curvature import PRODUCTS
from lib.optimizers.dal import dal


def bowl(x):
    return 3.0 * (jnp.sum(x["a"] ** 2) + x["b"] ** 2) / 2


@pytest.mark.parametrize("hvp", PRODUCTS)
def test_no_product_is_computed_for_updates_that_are_not_dal_s(hvp):
    """Counts how often the loss is evaluated by the optimiser in each of six updates, two of them DAL's."""
    calls = []

    def counted(x):
        jax.debug.callback(lambda: calls.append(1))
        return bowl(x)

    optimizer = dal(2.0, hvp=hvp, plain_rate=0.01, start=2, stop=4)
    x = {"a": jnp.array([0.3, -0.4]), "b": jnp.array(1.2)}
    state, step, counts = optimizer.init(x), jax.jit(optimizer.update, static_argnames="value_fn"), []
    for _ in range(6):
        calls.clear()
        _, state = step(jax.grad(bowl)(x), state, x, value_fn=counted)
        jax.effects_barrier()
        counts.append(len(calls))
    assert [count > 0 for count in counts] == [False, False, True, True, False, False]


def test_two_devices_take_the_same_branch(make):
    window = ("learning_rate=0.5", "kwargs.plain_rate=0.05", "kwargs.start=1", "kwargs.stop=3")
    args = ["classifier.model.name=logistic", *(f"classifier.optimizer.{x}" for x in ("name=dal", *window))]
    one, two = (trained(make("classifier/digits", *args, num_devices=n, workdir=str(n))) for n in (1, 2))
    assert largest_difference(one.params, two.params) < 1e-5
