"""Losses of a batch in parts against those of the whole batch, with their terms and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import refusal, small_config
from jax.flatten_util import ravel_pytree
from toys import KEY, both, make_rule, tanh_gan

from experiments import registry
from experiments.main import main
from lib.data.pipeline import eval_batches
from lib.games.eigenvalues import dense
from lib.games.game import Aux, Game
from lib.games.microbatches import in_microbatches
from lib.games.operators import game_jacobian, update_jacobian

TERMS = {"explicit": both(0.1, 0.2, -0.3), "multiplier": both(0.5, 0.5, 1.0), "sga": 0.3}


@pytest.mark.parametrize(  # of 8 examples; 3 does not divide them
    ("name", "size"), [("simultaneous", 1), ("simultaneous", 3), ("alternating", 2), ("extragradient", 4)]
)
def test_a_step_in_parts_is_that_of_the_whole_batch(float64, name, size):
    game, params, batch = tanh_gan()
    steps = []
    for part in (0, size):
        rule = make_rule(in_microbatches(game, part), name, (0.2, 0.1), **TERMS)
        state, metrics = jax.jit(rule.step)(rule.init(params, {}), batch, KEY)
        steps.append(np.concatenate([ravel_pytree(state.params)[0], ravel_pytree(metrics)[0]]))
    np.testing.assert_allclose(*steps, rtol=1e-11, atol=1e-13)
    assert np.abs(steps[0][:15] - ravel_pytree(params)[0][:15]).max() > 1e-3


def test_jacobians_in_parts_are_those_of_the_whole_batch(float64):
    game, params, batch = tanh_gan()
    for operator in (game_jacobian, update_jacobian):
        matrices = []
        for part in (0, 2):
            rule = make_rule(in_microbatches(game, part), "simultaneous", (0.2, 0.1), momentum=0.5)
            matrices.append(dense(operator(rule, rule.init(params, {}), batch, KEY)))
        np.testing.assert_allclose(*matrices, atol=1e-12)


def test_parts_have_their_own_keys_and_states_are_means():
    def losses(params, state, batch, key):
        noise = jax.random.normal(key, ())
        return {"model": params["model"] * noise}, Aux(
            {"mean": batch.mean(), "count": state["count"] + 1}, {"noise": noise}
        )

    game = in_microbatches(Game(("model",), losses), 2)
    state = {"mean": jnp.float32(0), "count": jnp.int32(4)}
    values, (new, metrics) = game.losses({"model": 2.0}, state, jnp.arange(6.0), KEY)
    noise = [float(jax.random.normal(key, ())) for key in jax.random.split(KEY, 3)]
    assert len(set(noise)) == 3
    assert metrics["noise"] == pytest.approx(np.mean(noise))
    assert values["model"] == pytest.approx(2 * np.mean(noise))
    assert new["mean"] == 2.5 and new["count"] == 5
    assert new["count"].dtype == jnp.int32


@pytest.mark.parametrize("config", ["classifier/digits_edge", "gan/ring8"])
def test_runs_train_in_the_memory_of_a_part(config):
    bytes_needed, field = [], config.split("/")[0]
    for part in (0, 32):
        overrides = [f"{field}.microbatch={part}", "batch_size=1024"]
        config_of_part = registry.validated(small_config(config, *overrides))
        programs = registry.programs(config_of_part, jax.local_devices()[:1])
        experiment, batch = programs.experiment, next(eval_batches(programs.data.train, 1024))
        state = jax.jit(experiment.init)(KEY, batch)
        step = jax.jit(experiment.train_step).lower(state, batch, KEY).compile()
        bytes_needed.append(step.memory_analysis().temp_size_in_bytes)
        _, metrics = step(state, batch, KEY)
        assert all(np.isfinite(value).all() for value in jax.tree.leaves(metrics))
    assert bytes_needed[1] < bytes_needed[0] / 3


def test_parts_that_do_not_divide_a_batch_are_refused(capsys, tmp_path):
    text = refusal(
        main,
        capsys,
        "--config=configs/classifier/digits.py",
        "--config.classifier.microbatch=7",
        "--config.batch_size=64",
        f"--workdir={tmp_path}",
    )
    assert "config.batch_size: 64 does not divide by the" in text and "in parts of 7; use" in text
