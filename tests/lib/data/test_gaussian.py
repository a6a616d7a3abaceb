"""Normal distributions of known spectrum, and batches that are drawn on the devices."""

import jax
import numpy as np
import pytest

from lib.data import DataSpec, gaussian, load
from lib.data.gaussian import SPECTRA
from lib.data.pipeline import Generated, Order, make
from lib.errors import ConfigError

ARGUMENTS = {"d": 6, "largest": 100, "smallest": 1.0, "seed": 3}


def source(name="linear_spectrum", **kwargs):
    return load(name, "train", kwargs=ARGUMENTS | kwargs)


def drawn(data, steps, batch_size=8, num_devices=1, seed=0, batches_per_step=1) -> np.ndarray:
    """Returns what the pipeline's pmapped batches hold, [steps, devices, b, d]."""
    pipeline = make(data, Order(data.size, batch_size, seed, num_devices, batches_per_step), 0.0)
    assert type(pipeline) is Generated
    nowhere = jax.tree.map(lambda x: None, pipeline.constants)
    devices = jax.local_devices()[:num_devices]
    batch = jax.pmap(pipeline.batch, in_axes=(nowhere, 0), devices=devices)
    batches = [batch(pipeline.constants, pipeline.feed(step)) for step in steps]
    for x in batches:
        assert (x["image"].dtype, x["label"].dtype) == (np.float32, np.int32)
        assert x["label"].shape == x["image"].shape[:-1]
        assert not x["label"].any()
    return np.stack([x["image"] for x in batches])


@pytest.mark.parametrize(
    "name, fall",
    [("linear_spectrum", lambda t: 100 - 99 * t), ("exponential_spectrum", lambda t: 100 ** (1 - t))],
)
def test_the_components_are_known(name, fall):
    data = source(name)
    components = DataSpec.of(data).principal_components(5)
    values = fall(np.arange(6) / 5)
    np.testing.assert_allclose(components.eigenvalues, values, rtol=1e-14)
    np.testing.assert_allclose(components.eigenvectors @ components.eigenvectors.T, np.eye(6), atol=1e-14)
    np.testing.assert_array_equal(components.mean, np.zeros(6))
    assert components.total_variance == pytest.approx(values.sum(), rel=1e-14)
    assert [
        len(part) for part in DataSpec.of(data).principal_components(2, np.zeros(data.image.shape[1]))[:2]
    ] == [
        3,
        3,
    ]


@pytest.mark.parametrize("of", ["batches", "train", "test"])
@pytest.mark.parametrize("name", SPECTRA)
def test_rows_have_the_covariance_and_no_mean(name, of):
    data = source(name)
    if of == "batches":
        x = drawn(data, range(3), batch_size=4000).reshape(-1, 6)
    else:
        x = load(name, of, kwargs=ARGUMENTS).image
    assert x.dtype == np.float32
    values, vectors = data.source
    z = x.astype(np.float64) @ vectors.T / np.sqrt(values)
    n = len(z)
    assert n >= 10_000
    np.testing.assert_allclose(np.cov(z.T), np.eye(6), atol=5 / np.sqrt(n))
    assert np.abs(z.mean(0)).max() < 5 / np.sqrt(n)
    # Normal, not only white: the fourth moment is 3.
    np.testing.assert_allclose((z**4).mean(0), 3, atol=5 * np.sqrt(96 / n))


@pytest.mark.parametrize("batches_per_step", [1, 2])
def test_a_step_s_rows_do_not_depend_on_the_devices(batches_per_step):
    m = batches_per_step
    one, two = (drawn(source(), (0, 5), num_devices=n, batches_per_step=m) for n in (1, 2))
    one, two = (x.reshape(2, x.shape[1], m, -1, 6).swapaxes(1, 2).reshape(2, m * 8, 6) for x in (one, two))
    np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-5)
    assert len(np.unique(one.reshape(-1, 6), axis=0)) == 2 * m * 8


def test_a_process_makes_its_own_devices_rows():
    pipeline = [Generated(source(), Order(1, 8, 0, 4, 1, part)) for part in (slice(None), slice(2, 4))]
    whole, part = (p.feed(3) for p in pipeline)
    assert part["row"].tolist() == whole["row"][2:].tolist() == [[4, 5], [6, 7]]
    assert part["step"].tolist() == [3, 3]


def test_rows_depend_on_step_and_seed_alone():
    data = source()
    forwards, backwards = drawn(data, (0, 1, 2**31)), drawn(data, (2**31, 1, 0))
    np.testing.assert_array_equal(forwards, backwards[::-1])
    other = drawn(data, (0, 1, 2**31), seed=1)
    assert len(np.unique(np.concatenate([forwards, other]).reshape(-1, 6), axis=0)) == 2 * 3 * 8


def test_feeds_are_the_feeds_of_the_steps():
    pipeline = Generated(source(), Order(1, 8, 0, 2))
    feeds = list(pipeline.feeds(4, 7))
    assert len(feeds) == 3
    for step, feed in zip((4, 5, 6), feeds, strict=True):
        jax.tree.map(np.testing.assert_array_equal, feed, pipeline.feed(step))


def test_samples_are_fixed_differ_and_shrink_with_the_dimension(monkeypatch):
    train, test = (load("linear_spectrum", split, kwargs=ARGUMENTS) for split in ("train", "test"))
    assert (train.size, test.size, train.num_classes, train.image_shape) == (10_000, 10_000, 1, (6,))
    np.testing.assert_array_equal(train.image, source().image)
    assert not np.isin(test.image, train.image).all(1).any()
    assert train.source
    assert not test.source
    assert not load("linear_spectrum", "train[:10]", kwargs=ARGUMENTS).source
    monkeypatch.setattr(gaussian, "_SAMPLE_NUMBERS", 605)
    assert load("linear_spectrum", "test", kwargs=ARGUMENTS).size == 100
    rotations = [source(seed=seed).source.eigenvectors for seed in (3, 4)]
    assert np.abs(rotations[0] - rotations[1]).max() > 0.1


def test_one_dimension_and_the_defaults():
    one = source(d=1)
    np.testing.assert_array_equal(one.source.eigenvalues, [100])
    assert drawn(one, [0]).shape == (1, 1, 8, 1)
    values = load("exponential_spectrum", "train").source.eigenvalues
    assert (len(values), values[0], values[-1]) == (50, 1000, 1)


@pytest.mark.parametrize(
    "name, kwargs, message",
    [
        ("linear_spectrum", {"larges": 3}, "larges: unknown field; did you mean 'largest'?"),
        ("linear_spectrum", {"d": 0}, "d: should be greater than 0, got 0"),
        ("linear_spectrum", {"d": 2.5}, "d: should be a valid integer, got 2.5"),
        ("linear_spectrum", {"d": 10**6}, "d: should be less than or equal to 8192, got 1000000"),
        ("exponential_spectrum", {"smallest": 0}, "smallest: should be greater than 0, got 0"),
        (
            "exponential_spectrum",
            {"smallest": 2000},
            "smallest: 2000 is above the largest eigenvalue; use one of at most 1000",
        ),
        ("exponential_spectrum", {"seed": -1}, "seed: should be greater than or equal to 0, got -1"),
        (
            "digits",
            {"d": 3},
            "d: 'digits' takes no arguments; leave it out "
            "(only linear_spectrum, exponential_spectrum, mixed_sources, folders of images and TFDS's sets "
            "take some)",
        ),
    ],
)
def test_bad_arguments_are_refused_in_one_line(name, kwargs, message):
    with pytest.raises(ConfigError) as error:
        load(name, "train", kwargs=kwargs)
    assert str(error.value) == f"config.dataset.kwargs.{message}"


def test_an_unknown_split():
    with pytest.raises(
        ConfigError, match="^config.dataset: linear_spectrum has no split 'valid'; known: train, "
    ):
        load("linear_spectrum", "valid")
