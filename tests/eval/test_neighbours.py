"""Precision, recall, density and coverage: against their authors' package, and where they are known."""

import numpy as np
import pytest
from prdc import compute_prdc

from eval import neighbours
from eval.neighbours import neighbour_scores, squared_radii

rng = np.random.default_rng(0)


def scores(real, samples, k=5):
    return neighbour_scores(real, samples, k, squared_radii(real, k))


@pytest.mark.parametrize(("n", "m", "k", "d"), [(60, 40, 3, 2), (40, 90, 5, 8), (30, 30, 1, 3)])
@pytest.mark.parametrize("chunk", [7, 1024])
def test_scores_are_those_of_the_authors(monkeypatch, n, m, k, d, chunk):
    monkeypatch.setattr(neighbours, "_CHUNK", chunk)
    real, samples = rng.normal(size=(n, d)), 0.7 * rng.normal(size=(m, d)) + 0.4
    theirs = compute_prdc(real, samples, nearest_k=k)
    assert scores(real, samples, k) == pytest.approx(theirs, rel=1e-12)
    assert 0 < theirs["recall"] < 1


def test_float32_features_far_from_zero_lose_nothing():
    real, samples = (rng.normal(size=(50, 4)).astype(np.float32) + 1000 for _ in range(2))
    theirs = compute_prdc(*(x.astype(np.float64) for x in (real, samples)), nearest_k=5)
    assert scores(real, samples) == pytest.approx(theirs, rel=1e-12)


def test_noise_has_no_precision_one_image_no_recall_and_copies_have_all():
    real = rng.normal(size=(200, 3))
    far = scores(real, rng.normal(size=(200, 3)) + 100)
    assert far == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}
    collapsed = scores(real, real[:1] + 1e-3 * rng.normal(size=(200, 3)))
    assert collapsed["precision"] == 1
    assert collapsed["recall"] < 0.05
    assert collapsed["coverage"] < 0.15
    assert scores(real, real) == pytest.approx({"precision": 1, "recall": 1, "density": 1, "coverage": 1})


@pytest.mark.parametrize("k", [0, 10, 11])
def test_more_neighbours_than_there_are_is_refused(k):
    with pytest.raises(ValueError, match=f"10 features have no {k} nearest others"):
        squared_radii(rng.normal(size=(10, 2)), k)
