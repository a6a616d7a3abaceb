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
from lib.errors import ConfigError
from lib.games.eigenvalues import dense
from lib.games.game import Aux, Game
from lib.games.microbatches import in_microbatches
from lib.games.operators import game_jacobian, update_jacobian
from lib.games.updates import UPDATE_RULES

TERMS = {"explicit": both(0.1, 0.2, -0.3), "multiplier": both(0.5, 0.5, 1.0), "sga": 0.3}


SIZES = {"simultaneous": 1, "alternating": 2, "extragradient": 4, "lookahead": 1}  # others 2, of 8 examples


@pytest.mark.parametrize("name", UPDATE_RULES)
def test_a_step_in_parts_is_that_of_the_whole_batch(float64, name):
    game, params, batch = tanh_gan()
    batch = jnp.tile(batch, (5, 1)) if name == "lookahead" else batch  # of its five steps
    terms = TERMS if name in SIZES else {}
    steps = []
    for part in (0, SIZES.get(name, 2)):
        rule = make_rule(in_microbatches(game, part), name, (0.2, 0.1), **terms)
        state, metrics = jax.jit(rule.step)(rule.init(params, {}), batch, KEY)
        steps.append((ravel_pytree(state.params)[0], ravel_pytree(metrics)[0]))
    whole, parts = map(np.concatenate, steps)
    # Conjugate gradients end at a residual of 1e-5.
    tolerance = 1e-5 if name == "local_symplectic_surgery" else 1e-10
    np.testing.assert_allclose(parts, whole, rtol=tolerance, atol=tolerance)
    assert np.abs(steps[0][0] - ravel_pytree(params)[0]).max() > 1e-3


def test_a_size_that_does_not_divide_is_refused():
    game, params, batch = tanh_gan()
    with pytest.raises(ConfigError, match="microbatch: 3 does not divide 8 examples"):
        in_microbatches(game, 3).losses(params, {}, batch, KEY)


def test_two_devices_in_parts_are_one_on_the_whole_batch(make):
    states = []
    for number, part in ((1, 0), (2, 4)):
        trainer = make(
            "classifier/digits_edge",
            f"classifier.microbatch={part}",
            "batch_size=16",
            num_devices=number,
            workdir=str(number),
        )
        trainer.train(trainer.programs.init(), 0)
        _, state = trainer.folder.restore(trainer.programs.abstract_state())
        states.append(np.asarray(ravel_pytree(state.params)[0]))
    np.testing.assert_allclose(*states, atol=1e-6)


def test_batch_norm_is_of_a_part():
    """Expects the losses' mean over parts, each normalised by its own statistics, and the states' mean."""
    config = small_config(
        "classifier/digits",
        "classifier.model.name=wide_resnet",
        "classifier.model.kwargs={'depth': 10, 'width': 1}",
        "batch_size=8",
    )
    programs = registry.programs(registry.validated(config), jax.local_devices()[:1])
    game, batch = programs.experiment.game, next(eval_batches(programs.data.train, 8))
    state = programs.experiment.init(KEY, batch)
    examples = game.batch(batch)

    def losses(part, size):
        chosen = in_microbatches(game.rule.dynamics.game, size)
        values, aux = chosen.losses(state.params, state.net_state, part, KEY)
        return values["model"], jax.tree.leaves(aux.net_state)

    value, net_state = losses(examples, 4)
    each = [losses(jax.tree.map(lambda x, i=i: x[i : i + 4], examples), 0) for i in (0, 4)]
    assert value == pytest.approx(float(each[0][0] + each[1][0]) / 2, rel=1e-5)
    assert abs(value - losses(examples, 0)[0]) > 1e-4
    for mean, first, second in zip(net_state, each[0][1], each[1][1], strict=True):
        np.testing.assert_allclose(mean, (first + second) / 2, rtol=1e-4, atol=1e-6)


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
    assert "config.batch_size: 64 does not divide by the" in text
    assert "with multiples of 7 examples, of microbatch, on each; use" in text
