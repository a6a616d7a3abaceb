"""Lines of training metrics: when they are written, and that they are means over their interval."""

import numpy as np
import one_number
import pytest
from conftest import largest_difference, states_equal, trained

from lib.errors import ConfigError
from lib.runtime import records
from lib.runtime.interval_means import IntervalMeans, NotFiniteError
from lib.runtime.intervals import Timer


@pytest.fixture
def train(tmp_path):
    """Returns a function that trains one number in a folder: (its trainer, its last state)."""

    def train(folder: str, num_devices: int = 1, **config):
        trainer = one_number.trainer(tmp_path / folder, config, num_devices)
        return trainer, trained(trainer)

    return train


def lines(trainer) -> list[dict]:
    """Returns the training records, without what depends on the clock."""
    written = records.read_training(trainer.folder.metrics)
    return [{name: x for name, x in line.items() if name != "steps_per_second"} for line in written]


def test_a_line_has_the_means_over_its_interval_and_step_0_what_the_first_step_measures(train):
    each = lines(train("each", num_steps=7)[0])
    assert [line["step"] for line in each] == list(range(8))
    assert each[0] == {**each[1], "step": 0, "epoch": 0.0}
    some, _ = train("some", num_steps=7, log_every=3, checkpoint_every=2)
    assert [line["step"] for line in lines(some)] == [0, 3, 6, 7]
    for line, steps in zip(lines(some)[1:], ([1, 2, 3], [4, 5, 6], [7]), strict=True):
        for name in ("loss", "x"):
            values = [each[step][name] for step in steps]
            assert len(set(values)) == len(values)
            assert line[name] == pytest.approx(np.mean(values), rel=1e-12)
        assert line["epoch"] == each[steps[-1]]["epoch"]


@pytest.mark.parametrize("num_devices", [1, 2])
def test_lines_are_those_of_the_run_that_never_stopped_and_of_one_device(train, num_devices):
    config = {"log_every": 2, "checkpoint_every": 2, "log_per_decade": 3}
    whole, _ = train("whole", num_devices, num_steps=8, **config)
    train("parts", num_devices, num_steps=4, **config)
    parts, _ = train("parts", num_devices, num_steps=8, **config)
    assert lines(parts) == lines(whole)
    one, _ = train("one", num_steps=8, **config)
    for a, b in zip(lines(one), lines(whole), strict=True):
        assert a == pytest.approx(b, abs=2e-6)


def test_a_new_run_drops_the_lines_of_one_that_saved_nothing(train):
    trainer, _ = train("run", num_steps=3, checkpoint_every=3)
    first = lines(trainer)
    for step in (trainer.folder.checkpoints / "3").iterdir():
        step.rename(trainer.folder.path / step.name)
    (trainer.folder.checkpoints / "3").rmdir()
    again, _ = train("run", num_steps=3, checkpoint_every=3)
    assert lines(again) == first


def test_log_spaced_lines(train):
    trainer, _ = train("run", num_steps=40, log_every=20, checkpoint_every=40, log_per_decade=4)
    assert [line["step"] for line in lines(trainer)] == [0, 1, 2, 3, 6, 10, 18, 20, 32, 40]


def test_calls_of_several_steps_stop_at_log_spaced_lines(train):
    config = {"num_steps": 40, "log_every": 20, "checkpoint_every": 40, "log_per_decade": 4}
    single, state = train("single", steps_per_dispatch=1, **config)
    several, other = train("several", steps_per_dispatch=5, **config)
    calls = [k for _, k, _ in several._dispatches(0, 40, 5)]
    assert sum(calls) == 40
    assert calls.count(5) == 4  # 10 to 15, 20 to 30 and 35 to 40 have no line inside
    assert largest_difference(state, other) < 2e-6
    for a, b in zip(lines(single), lines(several), strict=True):
        assert a == pytest.approx(b, abs=2e-6)


def test_a_metric_that_is_not_finite_is_named_with_its_step():
    means = IntervalMeans()
    means.add(0, {"loss": np.array([1.0, 2.0]), "rate": np.array([1.0, 1.0])})
    means.add(2, {"loss": np.array([3.0]), "rate": np.array([np.inf])})
    with pytest.raises(NotFiniteError, match="step 3: not finite: rate"):
        means.means()


def test_pictures_go_to_tensorboard(make):
    small = ("gan.nets.name=dcgan", "gan.nets.kwargs.width=1", "gan.nets.kwargs.kernel=2")
    trainer = make("gan/digits", *small, "figures_every=2")
    trained(trainer)
    (events, *_) = sorted((trainer.folder.tensorboard / "pictures").iterdir())
    png = (trainer.folder.figures / "samples_0000002.png").read_bytes()
    written = events.read_bytes()
    assert png in written
    assert b"pictures/samples" in written


def test_a_timer_says_what_is_late():
    now = [0.0]
    timer = Timer({"log": 2.0, "checkpoint": 5.0, "never": 0.0}, lambda: now[0])
    seen = []
    for now[0] in range(7):
        late = timer.late()
        seen.append(sorted(late))
        for what in late:
            timer.restart(what)
    assert seen == [[], [], ["log"], [], ["log"], ["checkpoint"], ["log"]]


def test_lines_and_checkpoints_by_the_clock_change_no_number(train):
    config = {"num_steps": 8, "log_every": 8, "checkpoint_every": 8, "steps_per_dispatch": 1}
    plain, state = train("plain", **config)
    often = {"log_seconds": 1e-9, "checkpoint_seconds": 1e-9, "keep_checkpoints": 3}
    timed, other = train("timed", **config, **often)
    assert [line["step"] for line in lines(plain)] == [0, 8]
    assert [line["step"] for line in lines(timed)] == list(range(9))
    assert sorted(int(p.name) for p in timed.folder.checkpoints.iterdir()) == [6, 7, 8]
    assert states_equal(state, other)
    assert lines(timed)[8] == lines(plain)[1]


def test_a_clock_is_for_one_process(train, monkeypatch):
    trainer, _ = train("run", num_steps=2)
    monkeypatch.setattr("lib.runtime.trainer.processes.count", lambda: 2)
    trainer.check()
    timed = one_number.trainer(trainer.folder.path, {"num_steps": 2, "log_seconds": 1.0}, 1)
    with pytest.raises(ConfigError, match="config.log_seconds: several processes have several clocks"):
        timed.check()
