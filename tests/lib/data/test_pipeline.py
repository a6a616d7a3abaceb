"""Batches from the device's memory and streamed ones."""

import threading

import jax
import numpy as np
import pytest

from lib.data import Dataset
from lib.data.dataset import Rows
from lib.data.order import batch_indices
from lib.data.pipeline import Order, Resident, Streamed, eval_batches, make, to_rows, to_signed

KINDS = [Resident, Streamed]


def images(size: int) -> Dataset:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (size, 3, 2, 1), dtype=np.uint8)
    return Dataset(image, np.arange(size, dtype=np.int32), size)


def prefetching_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.fixture(params=["in memory", "on disk", "rows of others"])
def dataset(request, tmp_path):
    dataset = images(10)
    if request.param == "in memory":
        return dataset
    if request.param == "rows of others":
        rows = np.random.default_rng(1).permutation(15)[:10]
        others = np.zeros((15, 3, 2, 1), np.uint8)
        others[rows] = dataset.image
        return dataset._replace(image=Rows(others, rows))
    np.save(tmp_path / "image.npy", dataset.image)
    return dataset._replace(image=np.load(tmp_path / "image.npy", mmap_mode="r"))


@pytest.mark.parametrize("num_devices", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_the_examples_of_the_order(kind, num_devices, dataset):
    pipeline = kind(dataset, Order(10, 4, 5, num_devices))
    devices = jax.local_devices()[:num_devices]
    replicated = jax.tree.map(lambda x: None, pipeline.constants)
    batch = jax.pmap(pipeline.batch, in_axes=(replicated, 0), devices=devices)
    crossing = 0
    for step in range(6):
        indices = batch_indices(10, 4, 5, step)
        crossing += step * 4 // 10 != (step * 4 + 3) // 10
        result = batch(pipeline.constants, pipeline.feed(step))
        assert result.keys() == {"image", "label"}
        assert result["image"].shape == (num_devices, 4 // num_devices, 3, 2, 1)
        assert result["image"].dtype == np.uint8
        assert result["label"].dtype == np.int32
        np.testing.assert_array_equal(result["image"].reshape(4, 3, 2, 1), images(10).image[indices])
        np.testing.assert_array_equal(result["label"].reshape(4), indices)
    assert crossing


def test_a_streamed_batch_larger_than_the_set_repeats_examples():
    dataset = images(3)
    feed = Streamed(dataset, Order(3, 8, 0, 2)).feed(1)
    indices = batch_indices(3, 8, 0, 1)
    np.testing.assert_array_equal(feed["label"].ravel(), indices)
    np.testing.assert_array_equal(feed["image"].reshape(8, 3, 2, 1), dataset.image[indices])


@pytest.mark.parametrize("first, last", [(0, 12), (5, 7), (3, 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_feeds_are_the_feeds_of_the_steps(kind, first, last):
    pipeline = kind(images(10), Order(10, 4, 1, 2))
    feeds = list(pipeline.feeds(first, last))
    assert len(feeds) == last - first
    for step, feed in zip(range(first, last), feeds, strict=True):
        jax.tree.map(np.testing.assert_array_equal, feed, pipeline.feed(step))
    assert not prefetching_threads()


def test_stopping_early_ends_the_thread():
    feeds = Streamed(images(10), Order(10, 4, 1, 1)).feeds(0, 10**6)
    next(feeds)
    assert len(prefetching_threads()) == 1
    feeds.close()
    assert not prefetching_threads()


def test_feeds_are_made_only_a_few_steps_ahead():
    pipeline = Streamed(images(10), Order(10, 4, 1, 1))
    steps = []
    feed_of = pipeline.feed

    def recorded_feed(step):
        steps.append(step)
        return feed_of(step)

    pipeline.feed = recorded_feed
    feeds = pipeline.feeds(0, 100)
    for _ in range(20):
        next(feeds)
    feeds.close()
    assert set(range(20)) <= set(steps)
    assert max(steps) < 30


def test_an_error_of_the_thread_reaches_the_training_loop():
    pipeline = Streamed(images(10), Order(10, 4, 1, 1))

    def fail(step):
        raise OSError(f"no disk at step {step}")

    pipeline.feed = fail
    with pytest.raises(OSError, match="no disk at step 0"):
        next(pipeline.feeds(0, 5))
    assert not prefetching_threads()


@pytest.mark.parametrize(
    "fraction, kind", [(1.01, Resident), (2.0, Resident), (0.99, Streamed), (0, Streamed)]
)
def test_make_keeps_on_the_devices_what_fits_the_limit(fraction, kind):
    dataset = images(10)
    limit_gb = fraction * dataset.image.nbytes / 1e9
    assert type(make(dataset, Order(10, 4, 0, 1), limit_gb)) is kind


@pytest.mark.parametrize("size, batch_size, num_batches", [(10, 4, 3), (8, 4, 2), (3, 5, 1)])
def test_eval_batches_hold_every_example_once(size, batch_size, num_batches):
    dataset = images(size)
    batches = list(eval_batches(dataset, batch_size))
    assert len(batches) == num_batches
    assert all(len(leaf) == batch_size for batch in batches for leaf in batch.values())
    whole = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    assert whole["mask"].dtype == np.float32
    np.testing.assert_array_equal(whole["mask"], np.arange(num_batches * batch_size) < size)
    np.testing.assert_array_equal(whole["image"][:size], dataset.image)
    np.testing.assert_array_equal(whole["label"][:size], dataset.label)


def test_to_signed_maps_0_to_255_onto_minus_1_to_1():
    levels = np.arange(256, dtype=np.uint8)
    signed = to_signed(jax.numpy.asarray(levels))
    assert signed.dtype == np.float32
    np.testing.assert_allclose(signed, levels / 127.5 - 1.0, rtol=0, atol=2e-7)
    assert signed[0] == -1


@pytest.mark.parametrize("array", [np.asarray, jax.numpy.asarray])
def test_to_rows_flattens_and_scales_images_alone(array):
    image = images(5).image
    rows = to_rows(array(image))
    assert (type(rows), rows.dtype) == (type(array(image)), np.float32)
    np.testing.assert_allclose(rows, image.reshape(5, 6) / 255, rtol=1e-7)
    for points in (image.reshape(5, 6), image.reshape(5, 6).astype(np.float32)):
        np.testing.assert_array_equal(to_rows(array(points)), image.reshape(5, 6))
    assert to_rows(image, np.float64).dtype == np.float64


def test_every_device_gets_its_share_of_each_of_several_batches():
    # The j-th part of all devices' feeds is the j-th batch, however many devices there are.
    one, two = (Order(100, 6, 3, n, batches_per_step=2).indices(4) for n in (1, 2))
    for j in range(2):
        whole = one[0, 6 * j : 6 * (j + 1)]
        np.testing.assert_array_equal(np.concatenate(two[:, 3 * j : 3 * (j + 1)]), whole)
    assert len(set(one.ravel())) == 12
