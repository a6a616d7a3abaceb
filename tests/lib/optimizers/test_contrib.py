"""Optimisers of optax.contrib: what wraps another against NumPy, and what is evaluated elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import largest_difference, small_config, trained
from tanh_net import THETA, flat, hessian_vector_product, trained_all, value_and_gradient

from experiments import registry, warm_start
from lib import optimizers
from lib.errors import ConfigError
from lib.optimizers.registry import OWN, kind_of, optax_kinds

STEPS, RATE, RHO, B1 = 20, 0.1, 0.05, 0.8


@pytest.fixture(scope="module")
def ends():
    """Returns {name: parameters} after some steps, in double precision."""
    with jax.enable_x64(True):
        made = {
            "sam": optimizers.make("sam", RATE, {"rho": RHO}),
            "sam_hd": optimizers.make("sam", RATE, {"rho": RHO, "base": "adam"}),
            "schedule_free_sgd": optimizers.make("schedule_free_sgd", RATE, {"b1": B1}),
            "mechanize": optimizers.make("mechanize", RATE, {"base": "sgd", "s_init": 0.5}),
        }
        found = trained_all({name: (optimizer, THETA) for name, optimizer in made.items()}, STEPS)
        return {name: flat(theta) for name, (theta, _) in found.items()}


def test_sam_takes_the_gradient_uphill(ends):
    theta = flat(THETA)
    for _ in range(STEPS):
        _, g = value_and_gradient(theta)
        _, sharp = value_and_gradient(theta + RHO * g / np.linalg.norm(g))
        theta = theta - RATE * sharp
    np.testing.assert_allclose(ends["sam"], theta, rtol=0, atol=1e-10)
    assert np.abs(ends["sam_hd"] - theta).max() > 1e-3  # another base
    # To first order that is the gradient of f + rho ||grad f||.
    start = flat(THETA)
    _, g = value_and_gradient(start)
    unit = g / np.linalg.norm(g)
    _, sharp = value_and_gradient(start + 1e-6 * unit)
    along = hessian_vector_product(start, unit)
    np.testing.assert_allclose((sharp - g) / 1e-6, along, rtol=1e-3, atol=1e-5)


def schedule_free(steps):
    """Follows schedule-free SGD at a constant rate: (y of the gradients, x that is evaluated)."""
    x = y = z = flat(THETA)
    for t in range(steps):
        _, g = value_and_gradient(y)
        z = z - RATE * g
        x = x + (z - x) / (t + 1)
        y = (1 - B1) * z + B1 * x
    return y, x


def test_schedule_free_sgd_moves_y_and_is_evaluated_at_x(ends):
    y, _ = schedule_free(STEPS)
    np.testing.assert_allclose(ends["schedule_free_sgd"], y, rtol=0, atol=1e-8)


@pytest.mark.usefixtures("float64")
def test_what_is_evaluated_is_x():
    optimizer = optimizers.make("schedule_free_sgd", RATE, {"b1": B1}, clip_norm=100.0)
    theta = jax.tree.map(jnp.asarray, THETA)
    state = optimizer.init(theta)
    for _ in range(5):
        _, g = value_and_gradient(flat(theta))
        leaves, structure = jax.tree.flatten(theta)
        parts = zip(np.split(g, np.cumsum([x.size for x in leaves])[:-1]), leaves, strict=True)
        grads = jax.tree.unflatten(structure, [part.reshape(x.shape) for part, x in parts])
        updates, state = optimizer.update(grads, state, theta)
        theta = jax.tree.map(jnp.add, theta, updates)
    y, x = schedule_free(5)
    np.testing.assert_allclose(flat(theta), y, rtol=0, atol=1e-8)
    np.testing.assert_allclose(flat(optimizer.evaluated(state, theta)), x, rtol=0, atol=1e-8)
    assert np.abs(x - y).max() > 1e-3


def test_those_that_move_the_parameters_that_are_evaluated_say_nothing():
    others = [name for name in {**optax_kinds(), **OWN} if kind_of(name).evaluated]
    assert sorted(others) == ["schedule_free_adamw", "schedule_free_sgd"]
    assert optimizers.make("adam", RATE, {}).evaluated is None


FREE = ("classifier.optimizer.name=schedule_free_adamw", "classifier.optimizer.learning_rate=0.1")
GAN = [f"gan.optimizers.{x}.name=schedule_free_sgd" for x in ("disc", "gen")]
GAN += ["gan.nets.name=dcgan", "gan.nets.kwargs.width=1", "gan.num_latents=2", "gan.allow_unsound=True"]


def test_a_classifier_is_evaluated_at_the_parameters_that_its_optimizer_names(make):
    """Evaluates by its predictions and on held-out data; its averages are of the same parameters."""
    trainer = make(
        "classifier/digits", *FREE, "classifier.model.name=logistic", "classifier.averages.uniform=True"
    )
    programs, state = trainer.programs, trained(trainer)
    where = programs.experiment.game.rule.evaluated(state)
    assert largest_difference(where.params, state.params) > 1e-4
    assert programs.experiment.game.rule.evaluated(where) is where
    plain = make("classifier/digits", "classifier.model.name=logistic", workdir="plain").programs
    at_x = plain.init()._replace(params=where.params, net_state=where.net_state)
    own = programs.evaluate(state)
    assert {n: own[n] for n in ("accuracy", "loss")} == pytest.approx(plain.evaluate(at_x), rel=1e-5)
    images = np.random.default_rng(0).uniform(-1, 1, (3, 8, 8, 1)).astype(np.float32)
    logits = [p.experiment.outputs["logits"](s, images)[0] for p, s in ((programs, state), (plain, at_x))]
    np.testing.assert_allclose(*logits, rtol=1e-5)
    (average,) = programs.experiment.averages(state).values()
    plain_average = plain.evaluate(at_x._replace(params=average.params))
    assert own["uniform/loss"] == pytest.approx(plain_average["loss"], rel=1e-5)
    assert own["uniform/loss"] != own["loss"]


def test_a_gan_s_samples_are_of_the_parameters_that_its_optimizers_name(make):
    trainer = make("gan/digits", *GAN)
    state, experiment = trained(trainer), trainer.programs.experiment
    where = experiment.game.rule.evaluated(state)
    assert largest_difference(where.params, state.params) > 0
    key = jax.random.key(0)
    drawn = [experiment.outputs["samples"](s, key, 4) for s in (state, where)]
    np.testing.assert_array_equal(*drawn)
    shown = experiment.outputs["artefacts"](state, key, None)["samples"]
    assert np.isfinite(shown.images).all()


def test_a_warm_start_with_another_optimizer_begins_where_the_run_was_evaluated(make, tmp_path):
    args = ("classifier/digits", "classifier.model.name=logistic")
    trainer = make(*args, *FREE, workdir="first")
    first = trained(trainer)
    trainer.folder.write_config(small_config(*args, *FREE))
    raw = small_config(*args, f"restore_path={trainer.folder.path}", "num_steps=8")
    programs = registry.programs(registry.validated(raw), jax.local_devices()[:1])
    _, begun = warm_start.first_state(programs, raw)
    where = trainer.programs.experiment.game.rule.evaluated(first)
    assert largest_difference(begun.params, where.params) == 0
    assert largest_difference(begun.params, first.params) > 1e-4


@pytest.mark.parametrize(
    ("name", "kwargs", "text"),
    [
        ("sam", {"rho": -1.0}, "kwargs.rho: -1.0 does not fit"),
        ("sam", {"base": "adm"}, "kwargs.base: unknown optimiser 'adm'; did you mean 'adam'?"),
        ("mechanize", {"base": "sgd_hd"}, "kwargs.base: unknown optimiser 'sgd_hd'"),
        ("dpsgd", {}, "kwargs: 'dpsgd' refuses"),
        ("prodigi", {}, "name: unknown optimiser 'prodigi'; did you mean 'prodigy'?"),
    ],
)
def test_bad_input_is_one_line(name, kwargs, text):
    with pytest.raises(ConfigError) as caught:
        optimizers.make(name, RATE, kwargs)
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sam", "players here have directions alone"),
        ("sophia", "players here have directions alone"),
        ("schedule_free_sgd", "is evaluated at other parameters than it moves"),
    ],
)
def test_those_that_need_more_are_refused_where_players_have_directions_alone(name, reason):
    with pytest.raises(ConfigError, match=f"name: '{name}' .*{reason}"):
        optimizers.make(name, RATE, {}, with_loss=False)
