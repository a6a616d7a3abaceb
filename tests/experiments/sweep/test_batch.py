"""Runs that one process trains: what each is alone, whoever fails, stops or goes on beside it."""

import os
import signal

import pytest
from campaign import checksum
from small_batches import (
    RATE,
    RATES,
    ROUNDING,
    commands,
    largest_relative,
    last_states,
    one_device,
    rates,
    statuses,
)

from experiments import main as alone
from experiments.sweep import batch
from lib.runtime import records
from lib.runtime.json_files import read_json
from lib.runtime.recorder import Recorder
from lib.runtime.run_folder import RunFolder


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
        assert log.read_text().startswith(f"training in {ours.folder}, on ")
        assert not other.exists()
        machine = read_json(RunFolder(ours.folder).path / "machine.json", dict[str, str])
        assert machine["lanes"] == "1"
    assert capsys.readouterr().out.count("finished") == len(made)


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
    assert max(largest_relative(*pair) for pair in pairs) < ROUNDING
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
    most = max(largest_relative(*pair) for pair in pairs)
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
