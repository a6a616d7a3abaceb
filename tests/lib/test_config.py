"""Bad configs: one line that names the field and the nearest valid one."""

import ml_collections
import numpy as np
import pytest
from conftest import small_config

from experiments import registry
from lib import optimizers
from lib.config import apply_overrides, differences, load_file, split_overrides, to_plain
from lib.errors import ConfigError
from lib.runtime.run_folder import RunFolder, find


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("num_step=3", "config.num_step: unknown field; did you mean 'num_steps'?"),
        ("gan.spectral_nrm=none", "config.gan.spectral_nrm: unknown field; did you mean 'spectral_norm'?"),
        ("seed.x=1", "config.seed.x: config.seed is a value and has no fields"),
        ("num_steps=many", "config.num_steps: 'many' is not of type int"),
        ("num_steps=1.5", "config.num_steps: '1.5' is not of type int"),
        ("num_steps=0", "config.num_steps: should be greater than 0, got 0"),
        ("seed=-1", "config.seed: should be greater than or equal to 0, got -1"),
        ("seed=4294967296", "config.seed: 4294967296 is too large"),
        ("experiment=gann", "config.experiment: unknown name 'gann'; did you mean 'gan'?"),
        ("dataset.eval_split=tset", "config.dataset: digits has no split 'tset'; known: train, test"),
        ("gan.nets.name=mnst", "config.gan.nets.name: unknown name 'mnst'; did you mean 'mnist'?"),
        ("gan.nets.name=mnist", "config.gan.nets.name: 'mnist' is for data of shape (28, 28, 1)"),
        (
            "gan.gen_loss=saturated",
            "config.gan.gen_loss: unknown name 'saturated'; did you mean 'saturating'?",
        ),
        (
            "gan.updates=alternate",
            "config.gan.updates: unknown name 'alternate'; did you mean 'alternating'?",
        ),
        (
            "gan.optimizers.gen.name=adm",
            "config.gan.optimizers.gen.name: unknown optimiser 'adm'; did you mean",
        ),
        (
            "gan.num_disc_updates=2",
            "config.gan.num_disc_updates: 'simultaneous' moves all players at once",
        ),
        (
            "gan.grad_regularizes.estimator=unbiase",
            "config.gan.grad_regularizes.estimator: unknown name 'unbiase'; did you mean 'unbiased'?",
        ),
        (
            "gan.optimizers.disc.learning_rate=-1",
            "config.gan.optimizers.disc.learning_rate: should be greater",
        ),
    ],
)
def test_bad_override(override, message):
    with pytest.raises(ConfigError) as error:
        registry.programs(registry.validated(small_config("gan/digits", override)))
    assert str(error.value).startswith(message)
    assert error.value.field == message.split(": ")[0]
    assert "\n" not in str(error.value)


def edited(edit, name: str = "gan/digits"):
    """Returns a config after a change that no override can make."""
    config = small_config(name)
    with config.unlocked(), config.ignore_type():
        edit(config)
    return config


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.__delattr__("log_every"), "config.log_every: missing"),
        (lambda c: c.gan.__delattr__("num_latents"), "config.gan.num_latents: missing"),
        (lambda c: c.update(classifier={"x": 1}), "config.classifier: unknown field"),
        (
            lambda c: c.gan.update(num_latnts=3),
            "config.gan.num_latnts: unknown field; did you mean 'num_latents'?",
        ),
        (
            lambda c: c.__delattr__("experiment"),
            "config.experiment: missing; known: cca, classifier, dnc, eigengame, games, gan",
        ),
        (
            lambda c: c.gan.optimizers.gen.kwargs.update(momentm=0.9),
            "config.gan.optimizers.gen.kwargs.momentm: 'sgd' takes no such argument; did you mean",
        ),
        (lambda c: c.update(num_steps="3"), "config.num_steps: should be a valid integer, got '3'"),
        (lambda c: c.update(num_steps=3.0), "config.num_steps: should be a valid integer, got 3.0"),
        (
            lambda c: c.gan.update(allow_unsound=1),
            "config.gan.allow_unsound: should be a valid boolean, got 1",
        ),
    ],
)
def test_bad_file(edit, message):
    with pytest.raises(ConfigError) as error:
        registry.programs(registry.validated(edited(edit)))
    assert str(error.value).startswith(message)


def test_optimiser_arguments_reach_optax():
    config = edited(lambda c: c.gan.optimizers.gen.kwargs.update(momentum=0.9, nesterov=True))
    config.gan.allow_unsound = True
    section = registry.validated(config).gan
    gen, disc = (
        optimizers.from_config(section.optimizers[x]).init({"w": np.zeros(1)}) for x in ("gen", "disc")
    )
    assert gen.hyperparams["momentum"] == pytest.approx(0.9)
    assert "momentum" not in disc.hyperparams


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no file"),
        ("x = 1", "defines no function get_config()"),
        ("def get_config(): return {}", "must return an ml_collections.ConfigDict"),
        ("def get_config(): return base()", "fails: NameError: name 'base' is not defined"),
        ("import nothing_like_this", "fails: ModuleNotFoundError"),
        ("def get_config(", "fails: SyntaxError"),
    ],
)
def test_bad_config_file(tmp_path, text, message):
    path = tmp_path / "config.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match="^--config: ") as error:
        load_file(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_misspelt_file_gets_the_nearest_one():
    with pytest.raises(ConfigError, match=r"did you mean 'configs/gan/digits.py'\?"):
        load_file("configs/gan/digit.py")


def test_overrides_take_the_type_of_the_field_and_leave_the_rest():
    base = small_config("classifier/cifar10")
    config = apply_overrides(
        base,
        [
            "--config.classifier.optimizer.learning_rate=1",
            "--config.classifier.model.kwargs.channels=(4,8)",
        ],
    )
    assert config.classifier.optimizer.learning_rate == 1.0
    assert config.classifier.model.kwargs.channels == (4, 8)
    assert differences(config, base) == [
        "config.classifier.model.kwargs.channels: (4, 8) here, (32, 64, 128) there",
        "config.classifier.optimizer.learning_rate: 1.0 here, 0.001 there",
    ]
    assert (
        differences(config, base, ignore=("classifier.model.kwargs", "classifier.optimizer.learning_rate"))
        == []
    )


def test_split_overrides():
    assert split_overrides(["-config.a=1", "--workdir=x", "--config=f"]) == (
        ["--config.a=1"],
        ["--workdir=x", "--config=f"],
    )
    with pytest.raises(ConfigError, match="write it as --config.a=VALUE"):
        split_overrides(["--config.a"])


def test_json_round_trip(tmp_path):
    config = small_config("classifier/digits")
    RunFolder(tmp_path).write_config(config)
    assert to_plain(RunFolder(tmp_path).read_config()) == to_plain(config)
    assert isinstance(RunFolder(tmp_path).read_config(), ml_collections.ConfigDict)
    (tmp_path / "config.json").write_text('{"a": ')
    with pytest.raises(ConfigError, match="is damaged"):
        RunFolder(tmp_path).read_config()


def test_restore_paths(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.create()
    (run.checkpoints / "7").mkdir()
    with pytest.raises(ConfigError, match="is not of a run"):
        find(str(run.path))
    run.config.touch()
    for path, step in ((run.path, None), (run.checkpoints, None), (run.checkpoints / "7", 7)):
        found, at = find(str(path))
        assert (found.path, at) == (run.path, step)
    for path in (tmp_path / "none", run.metrics):
        with pytest.raises(ConfigError, match=r"config\.restore_path"):
            find(str(path))
