"""The order of the data."""

import numpy as np
import pytest

from lib.data import order
from lib.data.order import batch_indices


def stream(size: int, batch_size: int, seed: int, epochs: int) -> np.ndarray:
    """Returns the indices of the first batches, one after the other, [epochs, size]."""
    steps = -(-epochs * size // batch_size)
    indices = np.concatenate([batch_indices(size, batch_size, seed, step) for step in range(steps)])
    return indices[: epochs * size].reshape(epochs, size)


@pytest.mark.parametrize(
    "size, batch_size",
    [(12, 4), (12, 12), (10, 4), (13, 1), (11, 7), (7, 9), (5, 16)],
    ids=lambda n: str(n),
)
def test_every_epoch_is_another_permutation_and_batches_run_on_across_epoch_ends(size, batch_size):
    epochs = stream(size, batch_size, seed=3, epochs=4)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(size), (4, 1)))
    assert len({tuple(epoch) for epoch in epochs}) == 4


@pytest.mark.parametrize("step", [0, 2, 10**9])
def test_a_batch_is_int32_indices_into_the_set(step):
    indices = batch_indices(10, 4, 0, step)
    assert indices.dtype == np.int32
    assert indices.shape == (4,)
    assert set(indices) <= set(range(10))


def test_a_batch_is_a_function_of_seed_and_step_alone():
    forwards = [batch_indices(10, 4, 7, step) for step in range(30)]
    order._latest_orders.cache_clear()
    backwards = [batch_indices(10, 4, 7, step) for step in reversed(range(30))]
    np.testing.assert_array_equal(forwards, backwards[::-1])


def test_a_batch_may_be_changed_by_its_owner():
    first = batch_indices(10, 4, 7, 0)
    kept = first.copy()
    first[:] = -1
    np.testing.assert_array_equal(batch_indices(10, 4, 7, 0), kept)


def test_seeds_have_orders_of_their_own():
    orders = {tuple(stream(20, 5, seed, epochs=2).ravel()) for seed in range(10)}
    assert len(orders) == 10
    # The second epoch of one seed is not the first one of the next.
    assert len({row for both in orders for row in (both[:20], both[20:])}) == 20
