"""Runs that one process trains: what each is alone, whoever fails, stops or goes on beside it."""

import contextlib
import gc
import os
import signal
import weakref

import jax
import numpy as np
import pytest
from campaign import RUN, checksum
from conftest import ROOT, largest_difference

from experiments import main as alone
from experiments import registry
from experiments.sweep import batch, lane_counts
from experiments.sweep.batch import Command
from lib.runtime import records
from lib.runtime.json_files import read_json
from lib.runtime.recorder import Recorder
from lib.runtime.run_folder import RunFolder
from lib.runtime.trainer import Trainer

STEPS = 8
RATE = "classifier.optimizer.learning_rate"
ROUNDING = 2e-6  # of parameters of size 0.1 after STEPS steps: lanes sum in another order
RATES = (0.1, 0.2, 0.3)


def commands(folder, *settings, steps=STEPS, run=RUN) -> list[Command]:
    """Returns a command for each setting {field: value}, of the runs `folder`/0, 1, .."""
    made = []
    for i, setting in enumerate(settings):
        place = str(folder / str(i))
        fields = [f"--config.{field}={value}" for field, value in setting.items()]
        made.append(Command(place, [*run, f"--config.num_steps={steps}", f"--workdir={place}", *fields]))
    return made


def rates(*values) -> list[dict]:
    return [{RATE: value, "seed": i} for i, value in enumerate(values)]


def statuses(made) -> list[str]:
    return [RunFolder(c.folder).status().get("status", "new") for c in made]


def last_states(made) -> list:
    """Returns the parameters that runs saved last."""
    states = []
    for command in made:
        folder = RunFolder(command.folder)
        programs = registry.open_run(folder, use_devices=jax.local_devices()[:1])
        states.append(folder.restore(programs.abstract_state())[1].params)
    return states


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Trains the runs of RATES, each alone, on the first device."""
    made = commands(tmp_path_factory.mktemp("alone"), *rates(*RATES))
    with one_device(), contextlib.redirect_stdout(None):
        assert [alone.main(c.arguments) for c in made] == [0] * len(made)
    return made


@contextlib.contextmanager
def one_device():
    """Leaves the programs of a block one device."""
    first = jax.devices()[:1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "devices", lambda: first)
        patch.setattr(jax, "local_devices", lambda: first)
        yield


def test_runs_one_after_another_are_bitwise_those_alone(tmp_path, undisturbed, capsys):
    made = commands(tmp_path, *rates(*RATES))
    with one_device():
        assert batch.train(made, 1) == 0
    for ours, theirs in zip(made, undisturbed, strict=True):
        assert checksum(tmp_path / ours.folder) == checksum(tmp_path / theirs.folder)
        for read in (records.read_training, records.read_held_out):
            a, b = (read(RunFolder(c.folder).metrics) for c in (ours, theirs))
            assert [r | {"steps_per_second": 0} for r in a] == [r | {"steps_per_second": 0} for r in b]
        log, other = ((tmp_path / c.folder / "log.txt") for c in (ours, theirs))
        assert log.read_text().startswith(f"training in {ours.folder}\n")
        assert not other.exists()
        machine = read_json(RunFolder(ours.folder).path / "machine.json", dict[str, str])
        assert machine["lanes"] == "1"
    assert capsys.readouterr().out.count("finished") == len(made)


@pytest.mark.parametrize(("lanes", "devices"), [(2, 1), (3, 1), (2, 2), (3, 2)])
def test_runs_in_lanes_are_those_alone_to_rounding(tmp_path, undisturbed, capsys, lanes, devices):
    made = commands(tmp_path, *rates(*RATES))
    with one_device() if devices == 1 else contextlib.nullcontext():
        assert batch.train(made, lanes) == 0
    assert "lanes, " in capsys.readouterr().out
    pairs = zip(last_states(made), last_states(undisturbed), strict=True)
    assert max(largest_difference(*pair) for pair in pairs) < ROUNDING
    for ours, theirs in zip(made, undisturbed, strict=True):
        a, b = (records.read_training(RunFolder(c.folder).metrics) for c in (ours, theirs))
        assert [r["step"] for r in a] == [r["step"] for r in b]
        np.testing.assert_allclose([r["model_loss"] for r in a], [r["model_loss"] for r in b], rtol=1e-5)
        machine = read_json(RunFolder(ours.folder).path / "machine.json", dict[str, str])
        assert int(machine["lanes"]) >= lanes


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_run_that_fails_stops_no_other(tmp_path, undisturbed, lanes):
    wrong = {"classifier.optimizer.name": "nothing"}
    first, *others = rates(*RATES)
    diverging = {RATE: 1e38, "seed": 7}
    made = commands(tmp_path, first, diverging, *others, wrong)
    with one_device():
        assert batch.train(made, lanes) == 0
    assert statuses(made) == ["finished", "failed", "finished", "finished", "failed"]
    errors = [RunFolder(c.folder).status()["error"] for c in made]
    assert "not finite" in errors[1]
    assert "unknown optimiser 'nothing'" in errors[4]
    sound = [made[0], *made[2:4]]
    pairs = zip(last_states(sound), last_states(undisturbed), strict=True)
    assert max(largest_difference(*pair) for pair in pairs) < ROUNDING
    logs = [(tmp_path / str(i) / "log.txt").read_text() for i in range(5)]
    assert not any("Traceback" in log for log in logs)


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_stopped_batch_goes_on_together_or_alone(tmp_path, undisturbed, monkeypatch, lanes):
    made = commands(tmp_path, *rates(*RATES))
    after = Recorder.after

    def signal_at_3(self, *args):
        if self.done == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        after(self, *args)

    before = signal.getsignal(signal.SIGTERM)
    with one_device():
        with monkeypatch.context() as patch:
            patch.setattr(Recorder, "after", signal_at_3)
            assert batch.train(made, lanes) == 128 + signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) == before
        assert statuses(made) == ["stopped"] * lanes + ["new"] * (3 - lanes)
        assert alone.main(made[0].arguments) == 0
        assert batch.train(made, lanes) == 0
    pairs = zip(last_states(made), last_states(undisturbed), strict=True)
    most = max(largest_difference(*pair) for pair in pairs)
    assert most == 0 if lanes == 1 else most < ROUNDING


def test_runs_of_several_structures_and_finished_ones(tmp_path, undisturbed, capsys):
    others = [{**setting, "classifier.l2": 0.1} for setting in rates(0.1, 0.2)]
    made = commands(tmp_path, *rates(*RATES), *others)
    with one_device():
        assert batch.train(made[:2], 1) == 0
        capsys.readouterr()
        assert batch.train(made, 1) == 0
    assert capsys.readouterr().out.count("finished") == 3
    assert statuses(made) == ["finished"] * 5
    assert checksum(tmp_path / "2") == checksum(tmp_path / undisturbed[2].folder)
    assert checksum(tmp_path / "3") != checksum(tmp_path / undisturbed[0].folder)


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
    assert max(largest_difference(*pair) for pair in pairs) < 2e-5
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


def test_a_failing_checkpoint_is_its_own_run_s_failure(tmp_path, monkeypatch):
    finish = Recorder.finish

    def failing(self):
        if self._folder.path.name == "1":
            raise OSError(28, "No space left on device")
        finish(self)

    monkeypatch.setattr(Recorder, "finish", failing)
    made = commands(tmp_path, *rates(*RATES))
    with one_device():
        assert batch.train(made, 3) == 0
    assert statuses(made) == ["finished", "failed", "finished"]
    assert "No space left" in RunFolder(made[1].folder).status()["error"]


def test_runs_that_go_on_have_as_many_lanes_as_before(tmp_path, monkeypatch):
    made = commands(tmp_path, *rates(*RATES))
    with one_device():
        assert batch.train([*made[:2]], 2) == 0
        RunFolder(made[0].folder).set_status("stopped", STEPS)
        assert batch._lanes_before(made) == 2
        assert batch._lanes_before(made[1:]) == 0
