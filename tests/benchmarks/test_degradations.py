"""Real images that are degraded step by step, and which scores rank them."""

import numpy as np
import pytest

from benchmarks.degradations import degraded, main, misranked
from lib.data import load


def test_images_are_degraded_more_and_more():
    train = load("digits", "train")
    sets = {name: np.concatenate(list(batches)) for name, batches in degraded(train, 200, 70)}
    real = sets["real"]
    assert all(images.shape == real.shape == (200, 8, 8, 1) for images in sets.values())
    assert all(np.abs(images).max() <= 1 for images in sets.values())
    for kind in ("blur", "noise", "levels"):
        changes = [np.mean((x - real) ** 2) for name, x in sets.items() if name.startswith(kind)]
        assert 0 < changes[0] < changes[1] < changes[2]
    assert len(np.unique(sets["levels 2"])) == 2
    noise = sets["noise 0.1"] - real
    assert np.abs(noise[:70] - noise[70:140]).max() > 0  # no two batches have the same


def rows(**values):
    """Returns records of a distance d and a score s."""
    named = {name.replace("_", " "): scores for name, scores in values.items()}
    return [{"images": name, "d_frechet": d, "s_score": s} for name, (d, s) in named.items()]


def test_what_is_not_ranked_is_named():
    ranked = rows(real=(1, 9), blur_1=(2, 8), blur_2=(3, 7), noise_1=(1.5, 6))
    assert misranked(ranked, ["d_frechet", "s_score"]) == []
    wrong = rows(real=(1, 9), blur_1=(3, 8), blur_2=(2, 8), noise_1=(0.5, 6))
    assert misranked(wrong, ["d_frechet", "s_score"]) == [
        "d_frechet of 'blur 2' is not worse than of 'blur 1'",
        "d_frechet of 'noise 1' is not worse than of 'real'",
        "s_score of 'blur 2' is not worse than of 'blur 1'",
    ]


@pytest.mark.parametrize("config", ["games/bilinear", "gan/ring8"])
def test_experiments_without_images_are_refused(config, capsys):
    with pytest.raises(SystemExit) as ended:
        main([f"--config=configs/{config}.py"])
    assert ended.value.code == 2
    assert "makes no images to score" in capsys.readouterr().err
