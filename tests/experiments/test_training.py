"""Real experiments on the trainer: what depends on the networks' and the optimisers' own states."""

import dataclasses
import shutil
import types

import pytest
from conftest import largest_difference, small_config, states_equal, trained

from eval.follow import Follower
from experiments import main, registry, training
from lib.errors import ConfigError
from lib.optimizers.registry import OWN
from lib.runtime import recorder, records
from lib.runtime.compiled import Compiled
from lib.runtime.interval_means import NotFiniteError
from lib.runtime.run_folder import RunFolder

RING = ("gan/ring8_sgd", "gan.nets.kwargs.num_units=4", "gan.num_latents=4")
RING += ("gan.grad_regularizes.dd_coeffs_multiplier.disc.other_dot_prod=-1.0",)
RING += ("gan.grad_regularizes.dd_coeffs_multiplier.gen.other_dot_prod=-1.0",)
CLASSIFIER = ("classifier/digits", "classifier.model.kwargs.channels=(4,)")
CLASSIFIER += ("classifier.model.kwargs.hidden=4",)
LOGISTIC = ("classifier/digits", "classifier.model.name=logistic")
RUNS = {
    "gan": RING,
    "alternating gan": (*RING, "gan.updates=alternating", "gan.num_disc_updates=2"),
    "classifier": CLASSIFIER,
}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Leaves out what is drawn after training."""
    monkeypatch.setattr(recorder, "write_results", lambda *args: [])


@pytest.mark.parametrize("args", RUNS.values(), ids=RUNS)
def test_a_resumed_run_compiles_once_and_is_bitwise_the_run_that_never_stopped(make, tmp_path, args):
    args = (*args, "num_steps=5", "checkpoint_every=3", "eval_every=0")
    trainer, traces = make(*args, workdir="whole"), []
    step = trainer.programs.experiment.train_step

    def counted(*args):
        traces.append(1)
        return step(*args)

    experiment = dataclasses.replace(trainer.programs.experiment, train_step=counted)
    trainer.programs.compiled = Compiled(experiment, trainer.programs.devices)
    whole = trained(trainer)
    assert len(traces) == 1
    shutil.copytree(tmp_path / "whole" / "checkpoints" / "3", tmp_path / "parts" / "checkpoints" / "3")
    assert states_equal(whole, trained(make(*args, workdir="parts")))
    if "gan" in args[0]:
        metrics = records.read_training(trainer.folder.metrics)[-1].keys()
        assert {"disc_loss", "gen_loss", "sigma_max", "disc_learning_rate"} <= metrics


def test_another_seed_gives_another_gan_and_two_devices_the_same(make):
    first, other, two = (
        make(*RING, f"seed={seed}", num_devices=n).programs.init() for seed, n in ((0, 1), (1, 1), (0, 2))
    )
    assert not states_equal(first, other)
    assert states_equal(first, two)


def test_one_device_equals_two_without_noise_of_their_own(make):
    args = (*CLASSIFIER, "classifier.model.kwargs.dropout=0.0")
    one, two = (trained(make(*args, num_devices=n, workdir=f"{n}")) for n in (1, 2))
    assert largest_difference(one, two) < 2e-6


# The others' rates are cut at learning_rate: see tests/lib/optimizers/test_alig.py.
@pytest.mark.parametrize("name", [*sorted(name for name, own in OWN.items() if not own.scheduled), "dal"])
def test_rates_that_optimizers_choose_are_the_same_on_one_device_and_two(make, name):
    args = (*LOGISTIC, f"classifier.optimizer.name={name}", "eval_every=0", "checkpoint_every=4")
    trainers = [make(*args, num_devices=n, workdir=f"{n}") for n in (1, 2)]
    assert largest_difference(*map(trained, trainers)) < 2e-6
    one, two = (
        [r["model_learning_rate"] for r in records.read_training(trainer.folder.metrics)]
        for trainer in trainers
    )
    assert len(set(one)) > 1
    assert one == pytest.approx(two, rel=1e-5)


def test_accuracy_counts_every_held_out_example_once(make):
    programs = make(*LOGISTIC).programs
    metrics = programs.evaluate(programs.init())
    assert metrics.keys() == {"loss", "accuracy"}
    assert metrics["accuracy"] * 297 == pytest.approx(round(metrics["accuracy"] * 297), abs=1e-9)
    assert 0 < metrics["accuracy"] < 1


def test_halves_of_a_batch_must_not_be_empty(make):
    with pytest.raises(
        ConfigError, match="config.batch_size: 2 is too small: .* at least 2 examples on each"
    ):
        make(*RING, "batch_size=2", num_devices=2).check()
    make(*RING, "batch_size=2", "gan.grad_regularizes.estimator=biased", num_devices=2).check()


NEGATIVE = ("gan.optimizers.gen.name=alig", "gan.optimizers.gen.kwargs.lower_bound=-0.01")


@pytest.mark.parametrize(
    ("overrides", "names", "kept", "hinted"),
    [
        (NEGATIVE, ["gen_learning_rate"], "nothing was saved", True),
        (NEGATIVE, ["disc_learning_rate", "gen_learning_rate"], "that is kept", True),
        (NEGATIVE, ["gen_learning_rate", "gen_loss"], "nothing was saved", False),
        (NEGATIVE, ["gen_loss"], "nothing was saved", False),
        ((), ["gen_learning_rate"], "nothing was saved", False),
    ],
)
def test_a_rate_alone_that_is_not_finite_is_explained(overrides, names, kept, hinted):
    config = registry.validated(small_config("gan/ring8_sgd", *overrides, "gan.allow_unsound=True"))
    text = f"step 3: not finite: {', '.join(names)}; {kept}"
    found = training._with_hint(NotFiniteError(text, names), config)
    assert found.startswith(text)
    assert ("set config.gan.optimizers.gen.kwargs.lower_bound lower" in found) == hinted


def test_a_loss_below_its_bound_stops_the_run_with_the_step_and_what_to_do(tmp_path, capsys):
    """Trains a generator whose zero-sum loss, about -0.7, is measured from -0.01."""
    config = small_config("gan/ring8_sgd", *NEGATIVE, "gan.allow_unsound=True")
    run = training.Training(config, RunFolder(tmp_path / "run"))
    try:
        assert run.run() == 1
    finally:
        run.close()
    error = capsys.readouterr().err
    assert error.startswith("error: step 1: not finite: gen_learning_rate; nothing was saved; the loss")
    assert error.count("\n") == 1
    assert run.folder.status()["status"] == "failed"


EPOCHS = (*LOGISTIC, "dataset.validation_size=300", "eval_every=0", "batch_size=8")  # of 150 steps
OLD = ("num_epochs", "epoch_means")


def train_epochs(folder, *overrides: str) -> RunFolder:
    """Trains a run of so many epochs, as ./run.sh train does."""
    run = RunFolder(folder)
    assert main.train(small_config(*EPOCHS, *overrides), run) == 0
    return run


def test_epochs_say_how_long_a_run_is_and_its_folder_holds_the_steps(tmp_path, capsys):
    run = train_epochs(tmp_path / "run", "num_epochs=0.02")
    written = run.read_config()
    assert (written.num_epochs, written.num_steps) == (0.02, 3)
    assert (run.newest_step(), run.status()["status"], run.status()["step"]) == (3, "finished", 3)
    assert not Follower(types.SimpleNamespace(folder=run))._unfinished()
    assert registry.open_run(run).config.num_steps == 3
    train_epochs(tmp_path / "run", "num_epochs=0.02")
    assert "already trained to step 3; raise config.num_epochs to go on" in capsys.readouterr().out
    train_epochs(tmp_path / "run", "num_epochs=0.03")
    assert "continuing at step 3" in capsys.readouterr().out
    assert (run.read_config().num_steps, run.newest_step()) == (5, 5)
    train_epochs(tmp_path / "run", "num_steps=6")
    assert (run.read_config().num_epochs, run.newest_step()) == (0.0, 6)
    assert [line["step"] for line in records.read_training(run.metrics)] == list(range(7))
    assert records.read_training(run.metrics)[-1]["epoch"] == pytest.approx(6 * 8 / 1200)


def test_a_warm_start_needs_more_epochs_than_were_trained(tmp_path):
    source = train_epochs(tmp_path / "source", "num_epochs=0.02")
    begin = (f"restore_path={source.path}", "num_steps=100")
    with pytest.raises(ConfigError, match="its 3 steps must be more than 3, where") as error:
        train_epochs(tmp_path / "run", *begin, "num_epochs=0.02")
    assert error.value.field == "config.num_epochs"
    assert train_epochs(tmp_path / "run", *begin, "num_epochs=0.03").newest_step() == 5


def test_a_run_that_is_older_than_epochs_goes_on(tmp_path):
    run = train_epochs(tmp_path / "run", "num_steps=3")
    older = {name: value for name, value in run.read_config().to_dict().items() if name not in OLD}
    run.write_config(older)
    own = registry.own_config(run)
    assert (own.num_steps, own.num_epochs, own.epoch_means) == (3, 0.0, False)
    assert train_epochs(tmp_path / "run", "num_epochs=0.03", "epoch_means=True").newest_step() == 5
