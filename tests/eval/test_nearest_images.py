"""The training images nearest to samples."""

import numpy as np
import pytest

from eval import nearest_images, sampling
from eval.report import nearest_training_images
from lib.data import Dataset, load

rng = np.random.default_rng(0)
DATA = Dataset(rng.integers(0, 256, (50, 4, 4, 3), np.uint8), np.zeros(50, np.int32), 10)


@pytest.mark.parametrize("chunk", [7, 2000])
def test_the_nearest_are_those_of_all_distances(monkeypatch, chunk):
    monkeypatch.setattr(nearest_images, "_CHUNK", chunk)
    images = rng.uniform(-1, 1, (6, 4, 4, 3)).astype(np.float32)
    images[2] = DATA.image[31] / 127.5 - 1
    numbers, distances = nearest_images.nearest_images(images, DATA, 4)
    x, y = images.reshape(6, -1), DATA.image.reshape(50, -1) / 127.5 - 1
    expected = np.sqrt(np.mean((x[:, None] - y) ** 2, -1))
    np.testing.assert_array_equal(numbers, np.argsort(expected, 1)[:, :4])
    np.testing.assert_allclose(distances, np.sort(expected, 1)[:, :4], atol=1e-6)
    assert (numbers[2, 0], distances[2, 0]) == (31, pytest.approx(0, abs=1e-6))


def test_copies_of_training_images_are_told_from_new_ones(tmp_path):
    """Draws ten rows of a sample and its nine nearest images, and says how near they are."""
    train, test = load("digits", "train"), load("digits", "test")
    copies, held_out = (sampling.signed(data, np.arange(100)) for data in (train, test))
    of_real = nearest_images.nearest_images(held_out, train, 1)[1]
    line = nearest_training_images(copies, of_real, train, tmp_path / "nearest.png")
    assert "samples 0.000 and 0.000, held-out images 0." in line
    assert "held-out images 0.000" not in line
    from PIL import Image

    picture = np.asarray(Image.open(tmp_path / "nearest.png"))
    assert picture.shape == (10 * 33 - 1, 10 * 33 - 1)
    np.testing.assert_array_equal(picture[:32, :32], picture[:32, 33:65])  # a copy's nearest is itself
