"""Streams of images to score: real ones, and their parts. Generated ones: test_evaluation.py."""

import numpy as np

from eval import sampling
from lib.data import load


def test_real_images_are_the_whole_set_once():
    held_out = load("digits", "test")
    images = np.concatenate(list(sampling.real(held_out, 10**6, 50, seed=0)))
    assert images.shape == (297, 8, 8, 1)
    whole = held_out.image.astype(np.float32) * (2 / 255) - 1
    np.testing.assert_allclose(np.sort(images.sum((1, 2, 3))), np.sort(whole.sum((1, 2, 3))), rtol=1e-5)


def test_parts_cut_a_stream_anywhere():
    batches = np.split(np.arange(11), [4, 8])
    pieces = list(sampling.cut(batches, 5))
    for number, expected in enumerate((range(5), range(5, 10), range(10, 11))):
        np.testing.assert_array_equal(np.concatenate([b for i, b in pieces if i == number]), list(expected))
