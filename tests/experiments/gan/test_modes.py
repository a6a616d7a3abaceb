"""Captured modes: their definition, and the metrics of a run and of the evaluator."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eval.best_checkpoint import BestCheckpoint
from eval.evaluation import Evaluator
from experiments.gan import modes
from lib.data import load
from lib.data.distributions import Mixture
from lib.data.mixtures import MIXTURES
from lib.errors import ConfigError
from lib.runtime import records

SMALL = ("gan.nets.kwargs.num_layers=1", "gan.nets.kwargs.num_units=4", "gan.num_latents=4")
PAIR = Mixture(((0.0, 0.0), (1.0, 0.0)), std=0.1)


def test_a_point_is_near_a_mode_within_three_standard_deviations():
    points = jnp.array([[0.0, 0.29], [0.0, 0.31], [0.22, -0.22], [0.71, 0.0], [0.5, 0.0]])
    expected = [[1, 0], [0, 0], [0, 0], [0, 1], [0, 0]]
    np.testing.assert_array_equal(modes.near(points, PAIR), np.array(expected, bool))


def test_masked_points_do_not_count():
    points, mask = jnp.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), jnp.array([1.0, 0.0, 1.0])
    np.testing.assert_array_equal(modes.sums(points, mask, PAIR)["mode_shares"], [1, 1])


def test_a_mode_is_captured_by_a_quarter_of_its_fair_share():
    shares = np.array([0.07, 1 / 16, 0.06, 0.4])  # fair is 1/4
    scores = modes.summary({"other": 2.0, "mode_shares": shares})
    assert scores == {"captured_modes": 3, "high_quality": pytest.approx(shares.sum()), "other": 2.0}
    assert list(scores)[0] == "captured_modes"


@pytest.mark.parametrize("name", MIXTURES)
def test_real_points_capture_every_mode_and_collapsed_ones_few(name):
    data = load(name, "test")

    def scores(points):
        mask = jnp.ones(len(points))
        total = modes.sums(jnp.asarray(points), mask, data.mixture)["mode_shares"]
        return modes.summary({"mode_shares": np.asarray(total) / len(points)})

    real = scores(data.image)
    assert real["captured_modes"] == data.num_classes
    assert real["high_quality"] == pytest.approx(1 - np.exp(-4.5), abs=0.005)
    half = scores(data.image[data.label < data.num_classes // 2])
    assert half["captured_modes"] == data.num_classes // 2
    assert half["high_quality"] == pytest.approx(real["high_quality"], abs=0.005)


def test_both_are_better_when_higher():
    for name in ("captured_modes", "high_quality"):
        assert records.is_judged(name)
        assert not records.lower_is_better(name)


def constant_generator(trainer):
    """Returns a state whose samples are all one point, mode 2 of the ring."""
    state = trainer.programs.init()
    gen = jax.tree.map(jnp.zeros_like, state.params["gen"])
    gen["Dense_0"]["bias"] = jnp.asarray(MIXTURES["ring8"].means[2], jnp.float32)
    return state._replace(params=state.params | {"gen": gen})


@pytest.mark.parametrize("num_devices", [1, 2])
def test_evaluation_over_the_whole_split_whatever_the_devices(make, num_devices):
    # 3,000 does not divide 10,000: the last batch is padded, and its padding must not count.
    trainer = make("gan/ring8", *SMALL, "batch_size=3000", num_devices=num_devices)
    scores = trainer.programs.evaluate(constant_generator(trainer))
    assert (scores["captured_modes"], scores["high_quality"]) == (1, 1)
    assert "mode_shares" not in scores


def test_evaluation_is_the_same_on_two_devices(make):
    scores = []
    for n in (1, 2):
        trainer = make("gan/ring8", *SMALL, "batch_size=1000", num_devices=n, workdir=str(n))
        state = trainer.programs.init()  # samples around the origin, magnified to reach the ring
        gen = jax.tree.map(lambda x: 3 * x, state.params["gen"])
        scores.append(trainer.programs.evaluate(state._replace(params=state.params | {"gen": gen})))
    assert scores[0]["high_quality"] > 0
    assert scores[0]["high_quality"] == pytest.approx(scores[1]["high_quality"], abs=2e-4)
    assert scores[0] == pytest.approx(scores[1], rel=1e-4, abs=2e-4)


def test_a_run_logs_modes_draws_them_and_is_scored_by_them(make, capsys):
    trainer = make("gan/ring8", *SMALL, "figures_every=2", "batch_size=500")
    trainer.train(trainer.programs.init(), 0)
    records = [json.loads(line) for line in (trainer.folder.metrics / "eval.jsonl").open()]
    assert {"captured_modes", "high_quality", "real_accuracy"} <= records[-1].keys()
    names = {p.name for p in trainer.folder.figures.iterdir()}
    assert names == {"samples_0000002.png", "samples_0000004.png", "modes.png", "train.png", "eval.png"}

    evaluator = Evaluator(trainer.programs, trainer.folder)
    _, state = trainer.folder.restore(trainer.programs.abstract_state())
    record = evaluator.evaluate(state, 4)
    assert evaluator.network is None
    assert "captured_modes" in capsys.readouterr().out
    assert {k: v for k, v in record.items() if k in records[-1]} == records[-1]
    assert not (trainer.folder.figures / "scores.png").exists()  # of one record
    evaluator.evaluate(state, 5)
    assert (trainer.folder.figures / "scores.png").exists()
    assert BestCheckpoint(evaluator).metric(record) == "captured_modes"


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("gan/digits", ["dataset.name=ring8"], r"config.gan.nets.name: 'digits' is .* 'ring8' has \(2,\)"),
        ("classifier/digits", ["dataset.name=ring8"], "config.dataset.name: 'ring8' has no images"),
    ],
)
def test_points_where_images_are_needed(make, name, overrides, message):
    with pytest.raises(ConfigError, match=message):
        make(name, *overrides)
