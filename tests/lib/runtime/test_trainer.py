"""The trainer's invariances: devices, calls of several steps, stopping and resuming."""

import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import one_number
import pytest
from conftest import largest_difference, states_equal, trained

from lib.data import load
from lib.data.dataset import Rows
from lib.data.order import batch_indices
from lib.errors import ConfigError
from lib.runtime import checkpoints, records, streams
from lib.runtime.interval_means import NotFiniteError
from lib.runtime.json_files import read_json

RESIDENT, STREAMED = ({"dataset.device_limit_gb": limit} for limit in (4.0, 0.0))


@pytest.fixture
def run(tmp_path):
    """Returns a function that trains one number in a folder and returns its last state."""

    def train(folder: str, config=None, **kwargs):
        return trained(one_number.trainer(tmp_path / folder, config or {}, **kwargs))

    return train


@pytest.fixture
def trainer(tmp_path):
    """Returns a function that makes a trainer of one number in the test's own folder."""

    def make(num_devices=1, changes=None, **config):
        return one_number.trainer(tmp_path / "run", config, num_devices, **changes or {})

    return make


def test_a_run_is_a_loop_over_batches_and_keys_of_seed_and_step(run):
    seed, data = 3, one_number.images()
    state = one_number.init(streams.initial_key(seed), {})
    for step in range(4):
        rows = batch_indices(data.size, 8, seed, step)
        batch = {"image": data.image[rows], "label": data.label[rows]}
        key = jax.random.fold_in(jax.random.key(seed), step)
        state, _ = one_number.train_step(state, batch, key)
    assert largest_difference(run("run", {"seed": seed}), state) < 2e-6


def test_one_device_equals_two_and_streamed_equals_resident(run):
    one = run("one", RESIDENT)
    whole = one_number.images(30)
    part = whole._replace(image=Rows(whole.image, np.arange(21)), label=whole.label[:21])
    gathered = part._replace(image=np.asarray(part.image))
    assert states_equal(run("part", STREAMED, data=part), run("gathered", RESIDENT, data=gathered))
    assert states_equal(one, run("streamed", STREAMED))
    two = run("two", RESIDENT, num_devices=2)
    assert largest_difference(one, two) < 2e-6
    assert states_equal(two, run("streamed on two", STREAMED, num_devices=2))


def test_scan_of_k_steps_equals_k_calls(run):
    config = {"num_steps": 6, "checkpoint_every": 3, "log_every": 3}
    single = run("single", config | {"steps_per_dispatch": 1})
    assert largest_difference(single, run("scanned", config | {"steps_per_dispatch": 3})) < 2e-6


def test_drawn_batches_do_not_depend_on_calls_of_several_steps_or_on_a_resume(run):
    config = {"num_steps": 6, "log_every": 6, "checkpoint_every": 3}
    drawn = {"num_devices": 2, "data": load("linear_spectrum", "train", kwargs={"d": 2})}
    single = run("single", config | {"steps_per_dispatch": 1}, **drawn)
    config |= {"steps_per_dispatch": 3, "log_every": 3}
    run("parts", config | {"num_steps": 3}, **drawn)
    assert largest_difference(single, run("parts", config, **drawn)) < 2e-5


@pytest.mark.parametrize("num_devices", [1, 2])
def test_a_resumed_run_is_bitwise_the_run_that_never_stopped(run, num_devices):
    whole = run("whole", {"num_steps": 5}, num_devices=num_devices)
    run("parts", {"num_steps": 3}, num_devices=num_devices)
    assert states_equal(whole, run("parts", {"num_steps": 5}, num_devices=num_devices))


def test_metrics_have_one_line_a_step_also_after_a_resume(trainer):
    trained(trainer(num_steps=3, eval_every=1))
    file = trainer().folder.metrics / "train.jsonl"
    file.write_text(file.read_text() + '{"step": 4, "loss": 1.0}\n{"step": 5, "lo')
    last = trainer(num_steps=5, eval_every=1)
    trained(last)
    assert [r["step"] for r in records.read_training(last.folder.metrics)] == [0, 1, 2, 3, 4, 5]
    assert [r["step"] for r in records.read_held_out(last.folder.metrics)] == [1, 2, 3, 4, 5]
    assert {"loss", "x", "epoch"} <= records.read_training(last.folder.metrics)[-1].keys()


def test_a_signal_ends_the_step_and_saves(trainer, monkeypatch):
    trainer = trainer(num_steps=1000, checkpoint_every=1000)
    before = signal.getsignal(signal.SIGTERM)
    dispatches = trainer._dispatches

    def with_signal(*args):
        for i, call in enumerate(dispatches(*args)):
            if i == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            yield call

    monkeypatch.setattr(trainer, "_dispatches", with_signal)
    stopped = trainer.train(trainer.programs.init(), 0)
    assert stopped == (3, signal.SIGTERM, False)
    assert checkpoints.steps(trainer.folder.checkpoints) == [3]
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("breaks", "message", "kept"),
    [
        ({"loss": 7}, "step 7: not finite: loss; the checkpoint of step 6 is kept", [2, 4, 6]),
        ({"loss": 1}, "step 1: not finite: loss; nothing was saved", []),
        ({"x": 8}, r"step 8: not finite: state\['x'\]; the checkpoint of step 6 is kept", [2, 4, 6]),
    ],
)
def test_what_is_not_finite_is_named_and_not_saved(trainer, breaks, message, kept):
    def train_step(state, batch, key):
        n = state["n"] + 1
        x = jnp.where(n == breaks.get("x"), jnp.inf, 0.0)
        loss = jnp.where(n == breaks.get("loss"), jnp.nan, 1.0)
        return {"n": n, "x": x}, {"loss": loss, "other": jnp.float32(0)}

    trainer = trainer(num_steps=12, log_every=12, changes={"train_step": train_step})
    with pytest.raises(NotFiniteError, match=f"^{message}$"):
        trainer.train(trainer.programs.init(), 0)
    assert checkpoints.steps(trainer.folder.checkpoints) == kept


def test_batch_must_divide_by_devices(trainer):
    with pytest.raises(
        ConfigError, match=r"config.batch_size: 9 does not divide by the 2 devices; use 8 or 10"
    ):
        trainer(batch_size=9, num_devices=2).check()
    trainer(batch_size=9, num_devices=1).check()


def test_calls_of_several_steps_must_fit_the_intervals(trainer):
    config = {"log_every": 4, "checkpoint_every": 6}
    with pytest.raises(ConfigError, match="config.steps_per_dispatch: 4 does not divide 6.*use 2"):
        trainer(**config, steps_per_dispatch=4).check()
    fitting = trainer(**config, steps_per_dispatch=2, num_steps=7)
    assert [(step, k) for step, k, _ in fitting._dispatches(1, 7, 2)] == [(1, 1), (2, 2), (4, 2), (6, 1)]


def _convolution(x: jax.Array) -> jax.Array:
    return jnp.convolve(jnp.full(9, x), jnp.full(3, x)).sum()


def _product(size: int):
    return lambda x: (jnp.full((size, size), x) @ jnp.full((size, size), x)).sum()


@pytest.mark.parametrize(
    ("work", "per_call"), [(_product(4), 12), (_product(400), 6), (_product(800), 1), (_convolution, 1)]
)
def test_calls_on_cpus_have_many_steps_unless_these_are_large_or_have_convolutions(trainer, work, per_call):
    def train_step(state, batch, key):
        new, metrics = one_number.train_step(state, batch, key)
        return new, metrics | {"work": work(state["x"])}

    every = {"num_steps": 12, "log_every": 12, "checkpoint_every": 12}
    made = trainer(changes={"train_step": train_step}, **every)
    trained(made)
    assert read_json(made.folder.path / "machine.json", dict[str, str])["steps per call"] == str(per_call)


@pytest.mark.parametrize("num_devices", [1, 2])
def test_a_run_compiles_its_step_once(trainer, num_devices):
    traces = []

    def train_step(*args):
        traces.append(1)
        return one_number.train_step(*args)

    trained(trainer(num_devices, {"train_step": train_step}))
    assert len(traces) == 1
