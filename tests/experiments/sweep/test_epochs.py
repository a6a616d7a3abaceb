"""Sweeps of runs that are as long as numbers of epochs say."""

import pytest
from conftest import ROOT, refusal
from small_batches import one_device, statuses

from experiments.sweep import batch
from experiments.sweep.main import main
from lib.runtime import records
from lib.runtime.run_folder import RunFolder

CONFIG = f"--config={ROOT}/configs/classifier/digits.py"
SHORT = ["classifier.model.name=logistic", "classifier.augmentation.crop_padding=0", "batch_size=8"]
SHORT += ["dataset.train_split=train[:21]", "log_every=5", "checkpoint_every=5", "eval_every=0"]
SHORT = [f"--config.{override}" for override in SHORT]
RATE = "classifier.optimizer.learning_rate"
RATES = ("0.1", "0.2")


@pytest.fixture
def sweep(tmp_path):
    """Returns a function that prepares a sweep: the arguments of its command, and of its runs."""

    def prepare(*more: str, runs: str = f"h.values({RATE!r}, [{', '.join(RATES)}])"):
        file = tmp_path / "sweep.py"
        file.write_text(f"def get_sweep(h):\n    return {runs}\n")
        overrides = [*SHORT, *(f"--config.{override}" for override in more)]
        arguments = [CONFIG, f"--sweep={file}", f"--workdir={tmp_path / 'out'}", *overrides]
        made = []
        for rate in RATES:
            folder = str(tmp_path / "out" / f"learning_rate={rate}")
            run = [CONFIG, f"--workdir={folder}", *overrides, f"--config.{RATE}={rate}"]
            made.append(batch.Command(folder, run))
        return arguments, made

    return prepare


def planned(capsys, arguments) -> list[str]:
    """Returns the status of both runs, as the table of a dry run has it."""
    capsys.readouterr()
    assert main([*arguments, "--dry_run"]) == 0
    return [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:3]]


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_sweep_goes_on_where_epochs_were_raised(sweep, capsys, lanes):
    arguments, made = sweep("num_epochs=2", "epoch_means=True")
    assert planned(capsys, arguments) == ["new", "new"]
    with one_device():
        assert batch.train(made, lanes) == 0
    assert statuses(made) == ["finished", "finished"]
    folders = [RunFolder(command.folder) for command in made]
    assert [folder.newest_step() for folder in folders] == [6, 6]
    assert planned(capsys, arguments) == ["finished", "finished"]
    arguments, made = sweep("num_epochs=4", "epoch_means=True")
    assert planned(capsys, arguments) == ["stopped", "stopped"]
    with one_device():
        assert batch.train(made, lanes) == 0
    assert planned(capsys, arguments) == ["finished", "finished"]
    for folder in folders:
        assert (folder.newest_step(), folder.read_config().num_steps) == (11, 11)
        assert [line["step"] for line in records.read_epochs(folder.metrics)] == [3, 6, 8, 11]
        assert [line["epoch"] for line in records.read_epochs(folder.metrics)] == [1, 2, 3, 4]
    assert planned(capsys, sweep("num_epochs=2")[0]) == ["finished", "finished"]


def test_lines_of_epochs_in_lanes_are_those_alone(sweep):
    _, made = sweep("num_epochs=4", "epoch_means=True")
    places = [f"{command.folder}_alone" for command in made]
    alone = [batch.Command(p, [*c.arguments, f"--workdir={p}"]) for p, c in zip(places, made, strict=True)]
    with one_device():
        assert batch.train(made, 2) == 0
        assert batch.train(alone, 1) == 0
    lines = [records.read_epochs(RunFolder(command.folder).metrics) for command in (*made, *alone)]
    assert lines[0][-1]["model_loss"] != pytest.approx(lines[1][-1]["model_loss"], rel=1e-3)
    for ours, theirs in zip(lines[:2], lines[2:], strict=True):
        assert len(ours) == 4
        for a, b in zip(ours, theirs, strict=True):
            assert a == pytest.approx(b, rel=1e-5)


def test_runs_of_several_lengths(sweep, tmp_path, capsys):
    arguments, _ = sweep(runs="h.values('num_epochs', [1.0, 2.0])")
    done = RunFolder(tmp_path / "out" / "num_epochs=1.0")
    done.create()
    done.set_status("finished", 3)
    assert planned(capsys, arguments) == ["finished", "new"]
    done.set_status("finished", 2)
    assert planned(capsys, arguments) == ["stopped", "new"]


@pytest.mark.parametrize(
    ("runs", "more"),
    [
        ("h.values('num_steps', [3, 4])", ("num_epochs=2",)),
        ("h.values('num_epochs', [3.0, 4.0])", ("num_steps=2",)),
        ("h.values('seed', [3, 4])", ("num_steps=2", "num_epochs=2")),
    ],
)
def test_steps_and_epochs_at_once_are_refused(sweep, capsys, runs, more):
    line = refusal(main, capsys, *sweep(*more, runs=runs)[0])
    assert ": config.num_steps: num_epochs is " in line
    assert planned(capsys, sweep(*more, "num_epochs=0", runs="h.values('seed', [3, 4])")[0])


@pytest.mark.parametrize("override", ["num_epochs=2", "epoch_means=True"])
def test_runs_without_epochs_are_refused_before_any_starts(sweep, capsys, override):
    (_, *places), _ = sweep(runs="h.seeds(2)")
    toy = [f"--config={ROOT}/configs/games/bilinear.py", *places[:2], f"--config.{override}"]
    assert f"config.{override.partition('=')[0]}: 'none' reads no data" in refusal(main, capsys, *toy)
