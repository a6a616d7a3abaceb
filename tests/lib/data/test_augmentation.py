"""Crops and flips: each a window or a mirror image, as often as they should be, the same on any devices."""

import functools

import jax
import numpy as np
import pytest

from lib.data import augmentation
from lib.runtime.devices import AXIS

CHANGES = {
    "crop": functools.partial(augmentation.pad_and_crop, padding=2),
    "flip": augmentation.flip,
}


def images(n: int) -> np.ndarray:
    """Returns uint8 [n, 5, 4, 2] without zeros, all different."""
    return np.random.default_rng(0).integers(1, 256, (n, 5, 4, 2), np.uint8)


def windows(image: np.ndarray, padding: int) -> dict[tuple[int, int], np.ndarray]:
    """Returns {(row, column) of its corner: window} of the padded image."""
    h, w, c = image.shape
    padded = np.zeros((h + 2 * padding, w + 2 * padding, c), image.dtype)
    padded[padding : padding + h, padding : padding + w] = image
    corners = np.ndindex(2 * padding + 1, 2 * padding + 1)
    return {(i, j): padded[i : i + h, j : j + w] for i, j in corners}


@pytest.mark.parametrize("padding", [1, 2])
def test_crops_are_all_windows_of_the_padded_image_equally_often(padding):
    n, places = 3000, (2 * padding + 1) ** 2
    before = images(n)
    after = np.asarray(
        jax.jit(augmentation.pad_and_crop, static_argnums=2)(before, jax.random.key(3), padding)
    )
    assert (after.dtype, after.shape) == (before.dtype, before.shape)
    counts = dict.fromkeys(windows(before[0], padding), 0)
    for one, cropped in zip(before, after, strict=True):
        [corner] = [at for at, window in windows(one, padding).items() if np.array_equal(window, cropped)]
        counts[corner] += 1
    spread = np.sqrt(n / places * (1 - 1 / places))
    assert max(abs(count - n / places) for count in counts.values()) < 4 * spread


def test_flips_are_mirror_images_of_half_of_them():
    n = 3000
    before = images(n)
    after = np.asarray(jax.jit(augmentation.flip)(before, jax.random.key(3)))
    flipped = (after == before[:, :, ::-1]).all((1, 2, 3))
    np.testing.assert_array_equal(after[~flipped], before[~flipped])
    assert abs(flipped.sum() - n / 2) < 4 * np.sqrt(n / 4)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_two_devices_change_each_image_as_one_does_and_keys_differ(change):
    before, key = images(20), jax.random.key(5)
    one = np.asarray(jax.jit(change)(before, key))
    assert (one != before).any()
    mapped = jax.pmap(change, AXIS, in_axes=(0, None), devices=jax.local_devices()[:2])
    two = mapped(before.reshape(2, 10, *before.shape[1:]), key)
    np.testing.assert_array_equal(np.concatenate(two), one)
    other = np.asarray(jax.jit(change)(before, jax.random.key(6)))
    assert (other != one).any()
