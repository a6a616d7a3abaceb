"""The cache of real data's statistics: what its keys depend on, and what happens to damaged files."""

import threading
import time

import numpy as np
import pytest

from eval.networks.network import Network, score_names
from eval.reference_cache import cached_records, cached_reference
from lib.data import Dataset, load


def pixels(images):
    """Returns the first three pixels as logits, and all of them as features."""
    flat = images.reshape(len(images), -1)
    return flat[:, :3], flat


NETWORK = Network("tiny", "a", "none", pixels, score_names("tiny"))


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    """Sets a cache that does not exist yet, and returns the folder of its statistics."""
    monkeypatch.setenv("GRADIENT_DYNAMICS_CACHE", str(tmp_path / "new" / "cache"))
    return tmp_path / "new" / "cache" / "statistics"


def refuse(*args):
    """Fails: what was to be in the cache is computed again."""
    raise AssertionError("computed again")


def test_statistics_are_cached_by_all_that_they_depend_on():
    image = np.random.default_rng(0).integers(0, 256, (30, 2, 2, 1), np.uint8)
    data = Dataset(image, np.zeros(30, np.int32), 10)
    reference = cached_reference(data, NETWORK, 10, 7)
    assert reference.gaussian.n == 30
    assert reference.features.shape == (10, 4)

    lost = NETWORK._replace(apply=refuse)
    again = cached_reference(data, lost, 10, 7)
    np.testing.assert_array_equal(again.gaussian.covariance, reference.gaussian.covariance)
    np.testing.assert_array_equal(again.features, reference.features)
    others = [
        (data._replace(image=255 - image), lost, 10),
        (data, lost._replace(checksum="b"), 10),
        (data, lost._replace(resize="bilinear"), 10),
        (data, lost, 11),
    ]
    for other, network, kernel_samples in others:
        with pytest.raises(AssertionError, match="computed again"):
            cached_reference(other, network, kernel_samples, 7)


def test_statistics_do_not_depend_on_batches_and_outlive_damage(empty_cache):
    held_out = load("digits", "test")
    whole = cached_reference(held_out, NETWORK, 50, 297)
    (file,) = empty_cache.glob("*.npz")
    file.write_bytes(file.read_bytes()[:1000])
    parts = cached_reference(held_out, NETWORK, 50, 7)
    np.testing.assert_array_equal(parts.features, whole.features)
    np.testing.assert_allclose(parts.gaussian.covariance, whole.gaussian.covariance, atol=1e-6)
    assert np.load(file)["n"] == 297


def scores(value: float) -> list[dict]:
    """Returns a record of all scores of the network."""
    return [{"images": "noise", **dict.fromkeys(NETWORK.names.values(), value)}]


@pytest.mark.parametrize("damage", ["[{", "[]", "3", '[{"images": "noise"}]'])
def test_records_are_cached_by_all_that_they_depend_on_and_outlive_damage(empty_cache, capsys, damage):
    array = np.arange(3)
    assert cached_records(NETWORK, (1, array), lambda: scores(1.5)) == scores(1.5)
    assert cached_records(NETWORK, (1, array), refuse) == scores(1.5)
    for network, depends_on in (
        (NETWORK, (2, array)),
        (NETWORK, (1, array + 1)),
        (NETWORK._replace(checksum="b"), (1, array)),
    ):
        with pytest.raises(AssertionError, match="computed again"):
            cached_records(network, depends_on, refuse)
    (file,) = empty_cache.glob("*.json")
    file.write_text(damage)
    assert cached_records(NETWORK, (1, array), lambda: scores(2.5)) == scores(2.5)
    assert capsys.readouterr().out.count("made again\n") == 1


def test_statistics_of_another_shape_are_computed_again(empty_cache, capsys):
    held_out = load("digits", "test")
    whole = cached_reference(held_out, NETWORK, 50, 297)
    (file,) = empty_cache.glob("*.npz")
    np.savez(file, **{**whole.gaussian._asdict(), "features": whole.features[:, :3]})
    again = cached_reference(held_out, NETWORK, 50, 297)
    np.testing.assert_array_equal(again.features, whole.features)
    assert "statistics of another shape" in capsys.readouterr().out


def test_of_several_that_need_statistics_one_makes_them(empty_cache):
    made = []

    def compute():
        made.append(1)
        time.sleep(0.2)
        return scores(1.5)

    found: list[list[dict]] = []

    def need():
        found.append(cached_records(NETWORK, (1,), compute))

    threads = [threading.Thread(target=need) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [scores(1.5)] * 3
    assert len(made) == 1
