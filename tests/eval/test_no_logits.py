"""A network that tells no classes apart, as VGG16 here: scores, following, samples that go bad late."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import small_config

from eval import sampling
from eval.best_checkpoint import BestCheckpoint
from eval.evaluation import Evaluator
from eval.follow import Follower
from eval.networks import NETWORKS, Network, UnloadedNetwork
from eval.networks.network import score_names
from experiments import registry
from lib.runtime import checkpoints, records
from lib.runtime.run_folder import RunFolder

NAMES = score_names("pixels", has_logits=False)


def pixels(images):
    """Returns no logits, and all pixels as features."""
    return None, images.reshape(len(images), -1)


@pytest.fixture
def evaluator(tmp_path, monkeypatch):
    """Returns the evaluator of a GAN's run with a checkpoint of step 2, scored by pixels."""
    network = UnloadedNetwork(NAMES, 64, lambda: Network("pixels", "p", "none", pixels, NAMES))
    monkeypatch.setenv("GRADIENT_DYNAMICS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(NETWORKS, "vgg16", lambda config, data: network)
    raw = small_config("gan/digits", "eval.network=vgg16", "eval.num_samples=400")
    programs, folder = registry.programs(registry.validated(raw)), RunFolder(tmp_path / "run")
    folder.create()
    folder.write_config(raw)
    writer = checkpoints.Writer(folder.checkpoints, keep=2)
    writer.save(2, jax.device_get(programs.init()))
    writer.close()
    return Evaluator(programs, folder)


def test_it_is_followed_by_its_first_score(evaluator, capsys):
    best = Follower(evaluator, training_runs=lambda: False).follow()
    assert best["step"] == 2
    assert set(NAMES.values()) <= best.keys()
    assert "pixels_score" not in best
    assert best["classes"] == []
    assert BestCheckpoint(evaluator).metric(best) == "pixels_frechet"
    printed = capsys.readouterr().out
    assert "step 2 is the best so far by pixels_frechet" in printed
    assert "classes of" not in printed


def test_samples_that_are_not_finite_later_are_passed_over(evaluator, capsys, monkeypatch):
    """Breaks the last batch of the samples alone, which no picture shows."""
    draw = sampling.generated

    def broken(*args, n, quiet=False, **kwargs):
        batches = list(draw(*args, n=n, quiet=quiet, **kwargs))
        return iter(batches if quiet else [*batches[:-1], jnp.full_like(batches[-1], np.nan)])

    monkeypatch.setattr(sampling, "generated", broken)
    assert Follower(evaluator, training_runs=lambda: False).follow() is None
    assert "step 2: samples: what the scoring network sees is not finite" in capsys.readouterr().out
    assert list(records.read_scores(evaluator.folder.metrics)) == []
