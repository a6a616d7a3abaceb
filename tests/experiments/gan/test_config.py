"""The `gan` section: contradictions are refused in one line, presets are sound, older runs are read."""

import pytest
from conftest import ROOT, small_config

from configs import play
from configs.gan import base
from experiments import registry
from experiments.gan import GanConfig
from lib.config import differences, load_file, to_plain
from lib.errors import ConfigError
from lib.runtime.run_folder import RunFolder
from lib.schema import MAY_DIFFER

REFUSED = [  # (overrides of configs/gan/digits.py, what the line says)
    (
        ["gan.updates=alternatin"],
        r"config\.gan\.updates: unknown name 'alternatin'; did you mean 'alternating'",
    ),
    (
        ["gan.num_disc_updates=2"],
        r"config\.gan\.num_disc_updates: .*to 1 or updates to 'alternating'",
    ),
    (["gan.first_player=gen"], r"config\.gan\.first_player: .*'alternating'"),
    (["gan.stage_batches=fresh"], r"config\.gan\.stage_batches: .*'runge_kutta_4', 'extragradient'"),
    (
        ["gan.grad_regularizes.rk_after_explicit_coeffs.gen.other_norm=0.1"],
        r"rk_after_explicit_coeffs\.gen\.other_norm: 'simultaneous' is no Runge-Kutta rule",
    ),
    (
        ["gan.optimizers.gen.name=adam"],
        r"\.disc\.other_dot_prod: .* optimizers\.gen .*allow_unsound",
    ),
    (["gan.optimizers.disc.kwargs.momentum=-0.5"], r"drift of optimizers\.disc .*without momentum"),
    (["gan.optimizers.disc.clip_norm=1.0"], r"drift of optimizers\.disc .*clipping"),
    (["gan.updates=runge_kutta_4"], r"no theory of the drift of updates 'runge_kutta_4'"),
    (["gan.updates=extragradient"], r"no theory of the drift of updates 'extragradient'"),
    (
        ["gan.updates=optimistic", "gan.optimizers.gen.name=adam"],
        r"config\.gan\.optimizers\.gen: 'optimistic' is made for 'sgd' without momentum",
    ),
    (
        ["gan.updates=lead", "gan.optimizers.gen.name=adam"],
        r"config\.gan\.optimizers\.gen: 'lead' is made for 'sgd' without clipping",
    ),
    (
        ["gan.updates=lookahead", "gan.optimizers.gen.name=schedule_free_sgd"],
        r"config\.gan\.optimizers\.gen: 'lookahead' is made for optimisers that keep no parameters",
    ),
    (
        ["gan.updates=competitive", "gan.optimizers.disc.kwargs.momentum=0.5"],
        r"config\.gan\.optimizers\.disc: 'competitive' is made for .* without momentum",
    ),
    (
        ["gan.player_batches=separate", "gan.sga.weight=0.1", "gan.allow_unsound=True"],
        r"config\.gan\.player_batches: the sign of sga's alignment",
    ),
    (["gan.sga.weight=0.1"], r"no theory of the drift of sga"),
    (
        ["gan.grad_regularizes.drift_clock=share"],
        r"drift_clock: unknown name 'share'; did you mean 'shared'",
    ),
    (
        ["gan.optimizers.gen.schedule.name=cosine_decay"],
        r"schedule\.name: unknown schedule 'cosine_decay'; did you mean 'cosine_decay_schedule'",
    ),
    (
        ["gan.optimizers.gen.name=alig", "gan.allow_unsound=True"],
        r"config\.gan\.optimizers\.gen\.kwargs\.lower_bound: the loss may be negative",
    ),
    (
        ["gan.optimizers.disc.name=sps_max", "gan.disc_loss=wasserstein", "gan.allow_unsound=True"],
        r"config\.gan\.optimizers\.disc\.kwargs\.lower_bound: the loss may be negative",
    ),
    (["gan.optimizers.gen.learning_rate=0.0"], r"optimizers\.gen\.learning_rate: 0.0 moves nothing"),
    (["gan.optimizers.gen.learning_rate=-0.1"], r"optimizers\.gen\.learning_rate: "),
    (["gan.optimizers.gen.clip_norm=-1.0"], r"config\.gan\.optimizers\.gen\.clip_norm: "),
]


def build(config):
    class Spec:
        image_shape, num_classes, mixture = (8, 8, 1), 10, None

    validated = registry.validated(config)
    validated.check_training()
    return registry.build(validated, Spec)


@pytest.mark.parametrize(("overrides", "line"), REFUSED)
def test_contradictions_are_one_line(overrides, line):
    with pytest.raises(ConfigError, match=line) as caught:
        build(small_config("gan/digits", *overrides))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ["gan.updates=runge_kutta_4", "gan.stage_batches=fresh"],
        ["gan.optimizers.gen.name=adam"],
        ["gan.sga.weight=0.1"],
    ],
)
def test_unsound_is_allowed_on_demand(overrides):
    build(small_config("gan/digits", "gan.allow_unsound=True", *overrides))


def test_wrong_names_of_coefficients_are_one_line():
    misspelt, incomplete = small_config("gan/digits"), small_config("gan/digits")
    with misspelt.unlocked(), incomplete.unlocked():
        disc = misspelt.gan.grad_regularizes.dd_coeffs_multiplier.disc
        disc.self_nrm = disc.self_norm
        del disc.self_norm
        del incomplete.gan.grad_regularizes.dd_coeffs_multiplier.disc.self_norm
    field = "config.gan.grad_regularizes.dd_coeffs_multiplier.disc"
    with pytest.raises(ConfigError) as caught:
        registry.validated(misspelt)
    assert str(caught.value) == f"{field}.self_nrm: unknown field; did you mean 'self_norm'?"
    with pytest.raises(ConfigError, match="missing") as caught:
        registry.validated(incomplete)
    assert caught.value.field == f"{field}.self_norm"


def test_schedules_and_momentum_zero_have_a_theory():
    schedule = "gan.optimizers.disc.schedule"
    build(
        small_config(
            "gan/digits",
            f"{schedule}.name=piecewise_constant_schedule",
            f"{schedule}.kwargs.boundaries_and_scales=((100, 0.1),)",
            "gan.optimizers.gen.kwargs.momentum=0.0",
            "gan.updates=alternating",
            "gan.first_player=gen",
            "gan.num_gen_updates=2",
        )
    )


PRESETS = [  # (function, its arguments)
    (play.consensus, (0.1,)),
    (play.symplectic, (0.1,)),
    (play.symplectic_regularizer, (0.1,)),
    (play.ode_gan, (0.1,)),
    (play.negative_momentum, (-0.5, 0.0)),
]


@pytest.mark.parametrize(("preset", "arguments"), PRESETS)
def test_presets_are_sound(preset, arguments):
    plain, config = base.base(), base.base()
    preset(config.gan, *arguments)
    assert config.to_dict() != plain.to_dict()
    assert build(config).batches_per_step == 1


def older(config, **mlp) -> dict:
    """Returns a config in the form that had the options of one pair of networks in a section of its own."""
    plain = to_plain(config)
    nets = {"nets": config.gan.nets.name, "mlp": {"num_layers": 2, "num_units": 25} | mlp}
    younger = ("player_batches", "averages", "diagnostics", "r1_penalty", "r2_penalty")
    section = {name: value for name, value in plain["gan"].items() if name not in younger}
    del plain["log_per_decade"]
    return plain | {"gan": section | nets}


@pytest.mark.parametrize(
    "name, overrides, mlp",
    [
        ("gan/digits", [], {}),
        ("gan/digits", [], {"num_units": 7}),
        ("gan/ring8", [], {}),
        ("gan/ring8", ["gan.nets.kwargs.num_units=7"], {"num_units": 7}),
    ],
)
def test_an_older_run_has_the_config_of_today(name, overrides, mlp, tmp_path):
    config = small_config(name, *overrides)
    folder = RunFolder(tmp_path)
    folder.write_config(older(config, **mlp))
    own = registry.own_config(folder)
    assert differences(own, config, MAY_DIFFER) == []
    as_before = {"diagnostics": ()}
    assert registry.validated(own).gan == registry.validated(config).gan.model_copy(update=as_before)
    assert GanConfig.upgraded(to_plain(config)) == to_plain(config)


@pytest.mark.parametrize(
    "name, override, message",
    [
        ("gan/digits", "kwargs.num_units=3", "kwargs.num_units: 'digits' takes no arguments"),
        ("gan/ring8", "kwargs.num_unit=3", "kwargs.num_unit: unknown field; did you mean 'num_units'?"),
        ("gan/ring8", "kwargs.num_layers=0", "kwargs.num_layers: should be greater than 0, got 0"),
        ("gan/ring8", "name=mpl", "name: unknown name 'mpl'; did you mean 'mlp'?"),
    ],
)
def test_options_that_networks_do_not_take_are_refused(name, override, message):
    with pytest.raises(ConfigError) as error:
        registry.validated(small_config(name, f"gan.nets.{override}"))
    assert str(error.value).startswith(f"config.gan.nets.{message}")


PAPER = {  # {config: fields as published}
    "mnist_plain": {
        "batch_size": 64,
        "num_steps": 100_000,
        "gan.grad_regularizes.estimator": "biased",
        "gan.optimizers.disc.learning_rate": 1e-2,
        "gan.optimizers.gen.learning_rate": 1e-2,
        "gan.grad_regularizes.dd_coeffs_multiplier.disc.other_dot_prod": 0.0,
        "gan.grad_regularizes.dd_coeffs_multiplier.gen.other_dot_prod": 0.0,
        "gan.player_batches": "separate",
    },
    "mnist_sgd": {
        "gan.grad_regularizes.dd_coeffs_multiplier.disc.other_dot_prod": -1.0,
        "gan.grad_regularizes.dd_coeffs_multiplier.gen.other_dot_prod": -1.0,
    },
    "cifar10_plain": {
        "batch_size": 128,
        "num_steps": 300_000,
        "gan.optimizers.disc.learning_rate": 1e-2,
        "gan.optimizers.gen.learning_rate": 5e-3,
        "gan.player_batches": "separate",
    },
    "cifar10_adam": {
        "num_steps": 600_000,
        "gan.updates": "alternating",
        "gan.spectral_norm": "none",
        "gan.optimizers.disc.learning_rate": 1e-4,
        "gan.optimizers.gen.kwargs.b1": 0.5,
    },
    "cifar10_rk4": {"gan.stage_batches": "fresh", "gan.player_batches": "separate"},
    "cifar10_ode_gan": {"gan.stage_batches": "fresh", "gan.player_batches": "separate"},
}


@pytest.mark.parametrize("name", PAPER)
def test_configs_of_the_paper_are_set_as_published(name):
    config = load_file(f"{ROOT}/configs/gan/{name}.py")
    for field, published in PAPER[name].items():
        value = config
        for part in field.split("."):
            value = value[part]
        assert value == published, field
