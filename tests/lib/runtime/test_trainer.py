"""The trainer's invariances: devices, calls of several steps, stopping and resuming."""

import dataclasses
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.errors import ConfigError
from lib.experiment import Experiment
from lib.optimizers.registry import OWN
from lib.runtime import checkpoints, records
from lib.runtime.trainer import NotFiniteError, first_state


def states_equal(a, b) -> bool:
    return checkpoints.checksum(jax.device_get(a)) == checkpoints.checksum(jax.device_get(b))


def largest_difference(a, b) -> float:
    return max(
        float(np.max(np.abs(x - y)))
        for x, y in zip(jax.tree.leaves(jax.device_get(a)), jax.tree.leaves(jax.device_get(b)), strict=True)
    )


def trained(trainer):
    """The state after a whole run, read back from its last checkpoint."""
    step, state = first_state(trainer.programs, trainer.folder)
    start = jax.device_get(state)
    trainer.train(state, step)
    _, state = trainer.folder.restore(trainer.programs.abstract_state())
    assert not states_equal(start, state)
    return state


@pytest.mark.parametrize("streamed", ["dataset.device_limit_gb=4.0", "dataset.device_limit_gb=0.0"])
def test_one_device_equals_two_without_noise_of_their_own(make, streamed):
    args = ("classifier/digits", "classifier.cnn.dropout=0.0", streamed)
    one, two = (trained(make(*args, num_devices=n, workdir=f"{n}")) for n in (1, 2))
    assert largest_difference(one, make(*args, workdir="new").programs.init()) > 0
    assert largest_difference(one, two) < 2e-6


# The others' rates are cut at learning_rate: see tests/lib/optimizers/test_alig.py.
@pytest.mark.parametrize("name", [*sorted(name for name, kind in OWN.items() if not kind.scheduled), "dal"])
def test_rates_that_optimizers_choose_are_the_same_on_one_device_and_two(make, name):
    args = ("classifier/digits", "classifier.cnn.dropout=0.0", "classifier.cnn.channels=(4,)")
    args += (f"classifier.optimizer.name={name}", "eval_every=0", "checkpoint_every=4")
    trainers = [make(*args, num_devices=n, workdir=f"{n}") for n in (1, 2)]
    assert largest_difference(*map(trained, trainers)) < 2e-6
    one, two = ([r["model_learning_rate"] for r in records_of(trainer)] for trainer in trainers)
    assert len(set(one)) > 1
    assert one == pytest.approx(two, rel=1e-5)


def test_streamed_equals_resident_bitwise(make):
    resident = trained(make("gan/digits", "dataset.device_limit_gb=4.0", workdir="a"))
    streamed = trained(make("gan/digits", "dataset.device_limit_gb=0.0", workdir="b"))
    assert states_equal(resident, streamed)


def test_scan_of_k_steps_equals_k_calls(make):
    args = ("gan/digits", "num_steps=6", "checkpoint_every=6", "log_every=6", "eval_every=0")
    single = trained(make(*args, "steps_per_dispatch=1", workdir="a"))
    scanned = trained(make(*args, "steps_per_dispatch=3", workdir="b"))
    assert largest_difference(single, scanned) < 2e-6


def test_drawn_batches_do_not_depend_on_calls_of_several_steps_or_on_a_resume(make):
    args = ("gan/ring8", "dataset.name=linear_spectrum", "dataset.kwargs.d=2", "num_steps=6", "log_every=6")
    args += ("checkpoint_every=3", "eval_every=0")
    single = trained(make(*args, "steps_per_dispatch=1", num_devices=2, workdir="single"))
    scanned = ("steps_per_dispatch=3", "log_every=3")
    trained(make(*args, *scanned, "num_steps=3", num_devices=2, workdir="parts"))
    parts = trained(make(*args, *scanned, num_devices=2, workdir="parts"))
    assert largest_difference(single, parts) < 2e-5


@pytest.mark.parametrize("name", ["gan/digits", "gan/alternating", "classifier/digits"])
def test_resumed_run_is_bitwise_the_run_that_never_stopped(make, name):
    overrides = ("num_steps=5",)
    if name == "gan/alternating":
        name = "gan/digits"
        overrides += ("gan.updates=alternating", "gan.num_disc_updates=2")
    whole = trained(make(name, *overrides, workdir="whole"))
    trained(make(name, *overrides, "num_steps=3", workdir="parts"))
    parts = trained(make(name, *overrides, workdir="parts"))
    assert states_equal(whole, parts)


def test_metrics_have_one_line_a_step_also_after_a_resume(make):
    trainer = make("gan/digits", "num_steps=3", "eval_every=1")
    trained(trainer)
    file = trainer.folder.metrics / "train.jsonl"
    file.write_text(file.read_text() + '{"step": 4, "disc_loss": 1.0}\n{"step": 5, "disc_')
    trained(make("gan/digits", "num_steps=5", "eval_every=1"))
    for read in (records.read_training, records.read_held_out):
        assert [r["step"] for r in read(trainer.folder.metrics)] == [1, 2, 3, 4, 5]
    assert {"disc_loss", "gen_loss", "sigma_max", "disc_learning_rate"} <= records_of(trainer)[-1].keys()


def records_of(trainer):
    return records.read_training(trainer.folder.metrics)


def test_other_seeds_give_other_states_and_other_devices_do_not(make):
    a = make("gan/digits", workdir="a").programs.init()
    assert not states_equal(a, make("gan/digits", "seed=1", workdir="b").programs.init())
    assert states_equal(a, make("gan/digits", workdir="c", num_devices=2).programs.init())


def test_a_signal_ends_the_step_and_saves(make, monkeypatch):
    trainer = make("gan/digits", "num_steps=1000", "checkpoint_every=1000", "eval_every=0")
    before = signal.getsignal(signal.SIGTERM)
    dispatches = trainer._dispatches

    def with_signal(first):
        for i, call in enumerate(dispatches(first)):
            if i == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            yield call

    monkeypatch.setattr(trainer, "_dispatches", with_signal)
    stopped = trainer.train(trainer.programs.init(), 0)
    assert stopped == (3, signal.SIGTERM)
    assert checkpoints.steps(trainer.folder.checkpoints) == [3]
    assert signal.getsignal(signal.SIGTERM) == before


class Breaking:
    """An experiment of one number, `x`, that counts its steps; the metric or the state breaks at one."""

    def __init__(self, trainer, metric_at=None, state_at=None):
        def train_step(state, batch, key):
            del batch, key
            n = state["n"] + 1
            x = jnp.where(n == state_at, jnp.inf, 0.0) if state_at else jnp.float32(0)
            loss = jnp.where(n == metric_at, jnp.nan, 1.0) if metric_at else jnp.float32(1)
            return {"n": n, "x": x}, {"loss": loss, "other": jnp.float32(0)}

        trainer.programs.experiment = Experiment(
            init=lambda key, batch: {"n": jnp.int32(0), "x": jnp.float32(0)},
            train_step=train_step,
            eval_step=lambda state, batch, key: {},
        )


@pytest.mark.parametrize(
    ("breaks", "message", "kept"),
    [
        ({"metric_at": 7}, "step 7: not finite: loss; the checkpoint of step 6 is kept", 6),
        ({"metric_at": 1}, "step 1: not finite: loss; nothing was saved", None),
        ({"state_at": 8}, r"step 8: not finite: state\['x'\]; the checkpoint of step 6 is kept", 6),
    ],
)
def test_what_is_not_finite_is_named_and_not_saved(make, breaks, message, kept):
    trainer = make("gan/digits", "num_steps=12", "log_every=12", "checkpoint_every=2", "eval_every=0")
    Breaking(trainer, **breaks)
    with pytest.raises(NotFiniteError, match=f"^{message}$"):
        trainer.train(trainer.programs.init(), 0)
    known = checkpoints.steps(trainer.folder.checkpoints)
    assert known == ([2, 4, 6] if kept else [])


def test_batch_must_divide_by_devices(make):
    with pytest.raises(
        ConfigError, match=r"config.batch_size: 9 does not divide by the 2 devices; use 8 or 10"
    ):
        make("classifier/digits", "batch_size=9", num_devices=2).check()


def test_halves_of_a_batch_must_not_be_empty(make):
    with pytest.raises(
        ConfigError, match="config.batch_size: 2 is too small: .* at least 2 examples on each"
    ):
        make("gan/digits", "batch_size=2", num_devices=2).check()
    make("gan/digits", "batch_size=2", "gan.grad_regularizes.estimator=biased", num_devices=2).check()


def test_calls_of_several_steps_must_fit_the_intervals(make):
    args = ("gan/digits", "log_every=4", "checkpoint_every=6", "eval_every=0")
    with pytest.raises(ConfigError, match="config.steps_per_dispatch: 4 does not divide 6.*use 2"):
        make(*args, "steps_per_dispatch=4").check()
    trainer = make(*args, "steps_per_dispatch=2", "num_steps=7")
    assert [(step, k) for step, k, _ in trainer._dispatches(1)] == [(1, 1), (2, 2), (4, 2), (6, 1)]


def test_evaluation_needs_no_batch_that_divides(make):
    """The same means on two devices with an odd batch size."""
    one, two = (make("classifier/digits", "batch_size=9", num_devices=n, workdir=str(n)) for n in (1, 2))
    assert one.programs.evaluate(one.programs.init()) == pytest.approx(
        two.programs.evaluate(two.programs.init()), rel=1e-6
    )


def test_evaluation_counts_every_example_once(make):
    """297 examples in batches of 8 and of 297 give the same means."""
    trainers = [make("classifier/digits", f"batch_size={b}", workdir=str(b)) for b in (8, 297)]
    state = trainers[0].programs.init()
    small, whole = (r.programs.evaluate(state) for r in trainers)
    assert small.keys() == {"loss", "accuracy"}
    assert small["accuracy"] * 297 == pytest.approx(round(small["accuracy"] * 297), abs=1e-9)
    assert small == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize(("name", "drawn"), [("sgd_hd", ["model_learning_rate"]), ("sgd", [])])
def test_learning_rates_that_vary_are_drawn(make, monkeypatch, name, drawn):
    panels = {}
    monkeypatch.setattr(
        "lib.runtime.results.metric_curves", lambda records, found, path: panels.setdefault(path.name, found)
    )
    trained(make("classifier/digits", "classifier.model=logistic", f"classifier.optimizer.name={name}"))
    assert panels["train.png"]["learning rate"] == drawn


def test_pictures_of_a_finished_run(make):
    from PIL import Image

    trainer = make("gan/digits")
    trained(trainer)
    names = {p.name for p in trainer.folder.figures.iterdir()}
    assert names == {"samples_0000004.png", "train.png", "eval.png"}
    assert np.asarray(Image.open(trainer.folder.figures / "samples_0000004.png")).std() > 0


@pytest.mark.parametrize("name", ["gan/digits", "classifier/digits"])
def test_a_run_compiles_its_step_once(make, name):
    trainer = make(name, "eval_every=0")
    step, traced = trainer.programs.experiment.train_step, []
    counted = lambda *args: (traced.append(1), step(*args))[1]
    trainer.programs.experiment = dataclasses.replace(trainer.programs.experiment, train_step=counted)
    trainer.train(trainer.programs.init(), 0)
    assert len(traced) == 1
