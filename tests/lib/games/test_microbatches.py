"""Losses of a batch in parts against those of the whole batch, with their terms and derivatives."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import refusal, small_config
from jax.flatten_util import ravel_pytree
from toys import KEY, PLAYERS, both, make_rule, tanh_gan

from experiments import registry
from experiments.main import main
from lib.data.pipeline import eval_batches
from lib.errors import ConfigError
from lib.games.game import Aux, Game
from lib.games.microbatches import in_microbatches
from lib.games.updates import UPDATE_RULES, Options

TERMS = {"explicit": both(0.1, 0.2, -0.3), "multiplier": both(0.5, 0.5, 1.0), "sga": 0.3}


SIZES = {"simultaneous": 1, "alternating": 2, "extragradient": 4, "lookahead": 1}  # others 2, of 8 examples


@pytest.mark.parametrize("name", UPDATE_RULES)
def test_a_step_in_parts_is_that_of_the_whole_batch(float64, name):
    game, params, batch = tanh_gan()
    arguments = UPDATE_RULES[name].arguments(**({"every": 2} if name == "lookahead" else {}))
    batch = jnp.tile(batch, (2, 1)) if name == "lookahead" else batch  # of its two steps
    options = Options(PLAYERS, dict.fromkeys(PLAYERS, 1), arguments=arguments)
    terms = TERMS if name in SIZES else {}
    steps = []
    for part in (0, SIZES.get(name, 2)):
        rule = make_rule(in_microbatches(game, part), name, (0.2, 0.1), options=options, **terms)
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
    """Expects the mean of the losses of parts, each normalised by its own statistics."""
    norm = nn.BatchNorm(use_running_average=False, momentum=0.5)

    def losses(params, net_state, batch, key):
        out, new = norm.apply({"params": params["model"], **net_state}, batch, mutable="batch_stats")
        return {"model": jnp.mean(out**4)}, Aux(dict(new), {})

    batch = jax.random.normal(KEY, (8, 3)) ** 3
    variables = norm.init(KEY, batch)
    params, net_state = {"model": variables["params"]}, {"batch_stats": variables["batch_stats"]}
    game = Game(("model",), losses)
    values, aux = in_microbatches(game, 4).losses(params, net_state, batch, KEY)
    parts = (batch[:4], batch[4:])
    (first, one), (second, two) = (game.losses(params, net_state, part, KEY) for part in parts)
    assert values["model"] == pytest.approx(float(first["model"] + second["model"]) / 2, rel=1e-6)
    assert abs(values["model"] - game.losses(params, net_state, batch, KEY)[0]["model"]) > 1e-2
    states = (x.net_state for x in (aux, one, two))
    for mean, a, b in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_allclose(mean, (a + b) / 2, rtol=1e-6)


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
