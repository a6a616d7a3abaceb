"""Runs in lanes: those alone to rounding, their number, and their memory."""

import contextlib
import gc
import weakref

import jax
import numpy as np
import pytest
from campaign import checksum
from conftest import ROOT, largest_difference
from small_batches import (
    RATES,
    ROUNDING,
    STEPS,
    commands,
    largest_relative,
    last_states,
    one_device,
    rates,
    statuses,
)

from experiments.sweep import batch, lane_counts
from lib.runtime import records
from lib.runtime.json_files import read_json
from lib.runtime.lanes import Lanes
from lib.runtime.run_folder import RunFolder
from lib.runtime.trainer import Trainer


@pytest.mark.parametrize(("lanes", "devices"), [(2, 1), (3, 1), (2, 2), (3, 2)])
def test_runs_in_lanes_are_those_alone_to_rounding(tmp_path, undisturbed, capsys, lanes, devices):
    made = commands(tmp_path, *rates(*RATES))
    with one_device() if devices == 1 else contextlib.nullcontext():
        assert batch.train(made, lanes) == 0
    assert "lanes, " in capsys.readouterr().out
    pairs = zip(last_states(made), last_states(undisturbed), strict=True)
    assert max(largest_relative(*pair) for pair in pairs) < ROUNDING
    for ours, theirs in zip(made, undisturbed, strict=True):
        a, b = (records.read_training(RunFolder(c.folder).metrics) for c in (ours, theirs))
        assert [r["step"] for r in a] == [r["step"] for r in b]
        np.testing.assert_allclose([r["model_loss"] for r in a], [r["model_loss"] for r in b], rtol=1e-5)
        machine = read_json(RunFolder(ours.folder).path / "machine.json", dict[str, str])
        assert int(machine["lanes"]) >= lanes


def test_nothing_is_left_of_lanes(tmp_path, make, monkeypatch):
    living, init = weakref.WeakSet(), Lanes.__init__

    def counted(self, *args):
        init(self, *args)
        living.add(self)

    monkeypatch.setattr(Lanes, "__init__", counted)
    others = [{**setting, "classifier.l2": 0.1} for setting in rates(0.1, 0.2)]
    with one_device():
        assert batch.train(commands(tmp_path, *rates(0.1, 0.2), *others, steps=2), 2) == 0
    monkeypatch.setattr(lane_counts, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(lane_counts, "_COMPILING", 0.0)
    dense = make("classifier/digits", "classifier.model.name=logistic", "num_steps=1000")
    gc.collect()
    before = sum(x.nbytes for x in jax.live_arrays())
    assert lane_counts.best(dense, dense, dense.programs.init(), 8, jax.local_devices()[:1]) in (1, 8)
    dense.programs._shared.resident = None
    gc.collect()
    assert not living
    assert sum(x.nbytes for x in jax.live_arrays()) <= before


def test_lanes_are_measured_and_convolutions_have_none(make, monkeypatch):
    seconds = {"alone": 10.0, 8: 8.0, 64: 7.0}
    monkeypatch.setattr(lane_counts, "_seconds_alone", lambda trainer, placed: seconds["alone"])
    monkeypatch.setattr(
        lane_counts, "_seconds_in_lanes", lambda trainer, state, placed, n, devices: seconds[n]
    )
    devices = jax.local_devices()[:1]
    dense = make("classifier/digits", "classifier.model.name=logistic")
    state = dense.programs.init()
    assert lane_counts.best(dense, dense, state, 64, devices) == 8
    seconds |= {8: 9.5}
    assert lane_counts.best(dense, dense, state, 64, devices) == 1
    seconds |= {8: 1e-9, "alone": 1e-6}  # nothing to gain
    assert lane_counts.best(dense, dense, state, 64, devices) == 1
    monkeypatch.setattr(lane_counts, "_CANDIDATES", {True: (8, 64)})
    seconds |= {8: 8.0, "alone": 10.0}
    assert lane_counts.best(dense, dense, state, 64, devices) == 64
    seconds |= {64: 7.9}
    assert lane_counts.best(dense, dense, state, 64, devices) == 8
    assert [lane_counts.even(6, most, 1) for most in (1, 4, 6)] == [1, 3, 6]
    assert [lane_counts.even(18, 8, devices) for devices in (1, 2, 4)] == [6, 6, 8]
    images = make("classifier/digits", "classifier.model.kwargs.channels=(2,)", workdir="images")
    seconds |= {"alone": 10.0, 8: 0.1}
    assert lane_counts.best(images, images, images.programs.init(), 16, devices) == 1


# {label: a config and how its runs differ from a short one}
IN_LANES = {
    "gan": ("gan/ring8_sgd", {"log_per_decade": 3}),
    "eigengame": ("eigengame/digits", {}),
    "cca": ("cca/digits", {}),
    "drawn data": ("eigengame/linear_spectrum", {"dataset.kwargs.d": 8, "eigengame.k": 2}),
    "streamed data": (
        "classifier/digits",
        {"dataset.device_limit_gb": 0.0, "classifier.model.name": "mlp"},
    ),
    "dal": ("classifier/digits", {"classifier.optimizer.name": "dal", "classifier.model.name": "logistic"}),
}


@pytest.mark.parametrize("label", IN_LANES)
def test_experiments_in_lanes_are_those_alone(tmp_path, label):
    name, fields = IN_LANES[label]
    run = [f"--config={ROOT}/configs/{name}.py", "--config.batch_size=32", "--config.figures_every=0"]
    run += ["--config.log_every=4", "--config.eval_every=0", "--config.checkpoint_every=4"]
    run += [f"--config.{field}={value}" for field, value in fields.items()]
    folders = [tmp_path / "alone", tmp_path / "lanes"]
    a, b = (commands(folder, {"seed": 0}, {"seed": 1}, steps=9, run=run) for folder in folders)
    with one_device():
        assert batch.train(a, 1) == batch.train(b, 2) == 0
    assert statuses(b) == ["finished"] * 2
    pairs = zip(last_states(a), last_states(b), strict=True)
    assert max(largest_relative(*pair) for pair in pairs) < 2e-5
    for alone_run, in_lane in zip(a, b, strict=True):
        lines = [records.read_training(RunFolder(c.folder).metrics) for c in (alone_run, in_lane)]
        assert [r["step"] for r in lines[0]] == [r["step"] for r in lines[1]]
    first, second = last_states(b)
    assert largest_difference(first, second) > 1e-3


def test_without_memory_for_lanes_runs_go_on_one_after_another(tmp_path, undisturbed, monkeypatch, capsys):
    def step(*args):
        raise MemoryError("no lanes")

    monkeypatch.setattr(batch.Lanes, "step", step)
    made = commands(tmp_path, *rates(*RATES))
    with one_device():
        assert batch.train(made, 2) == 0
    assert "one after another" in capsys.readouterr().out
    assert [checksum(tmp_path / c.folder) for c in made] == [
        checksum(tmp_path / c.folder) for c in undisturbed
    ]


def test_runs_that_go_on_have_as_many_lanes_as_before(tmp_path, monkeypatch):
    made = commands(tmp_path, *rates(*RATES))
    with one_device():
        assert batch.train([*made[:2]], 2) == 0
        RunFolder(made[0].folder).set_status("stopped", STEPS)
        assert batch._lanes_before(made[:1], 1) == 2
        assert batch._lanes_before(made, 1) == 0  # most are finished, or have not begun


@pytest.mark.parametrize("lanes", [1, 2])
def test_memory_is_bounded_by_lanes_not_by_runs(tmp_path, monkeypatch, lanes):
    living, most, bytes_live = weakref.WeakSet(), [], []
    init, end = Trainer.__init__, batch.Member.end

    def counted(self, *args):
        init(self, *args)
        living.add(self)

    def counting(self, stopped):
        gc.collect()
        most.append(len(living))
        bytes_live.append(sum(x.nbytes for x in jax.live_arrays()))
        return end(self, stopped)

    monkeypatch.setattr(Trainer, "__init__", counted)
    monkeypatch.setattr(batch.Member, "end", counting)
    with one_device():
        assert batch.train(commands(tmp_path, *rates(*np.linspace(0.1, 0.2, 8)), steps=2), lanes) == 0
    assert len(most) == 8
    assert max(most) <= lanes + 2  # the first one, which gives its programs, and the one that is opened
    assert max(bytes_live[4:]) <= max(bytes_live[:4])


def test_a_run_in_a_lane_stops_at_its_threshold_and_the_others_go_on(tmp_path):
    """Stops where the loss is below that of the last step of one of the runs alone."""
    settings = [{**setting, "stop_at": "-train/model_loss:0.0"} for setting in rates(0.1)] + rates(0.2)
    with one_device():
        assert batch.train(commands(tmp_path, *settings), 2) == 0
    first, second = (RunFolder(tmp_path / str(i)) for i in range(2))
    assert first.status()["reached"] == "-train/model_loss:0.0"
    logged = [record["step"] for record in records.read_training(first.metrics)]
    assert first.status()["step"] == logged[-1] == logged[1] < STEPS  # the first record after step 0
    assert second.status() == {"status": "finished", "step": STEPS, "error": ""}
    assert first.newest_step() == first.status()["step"]
