"""Runs that stop where a metric reaches a value."""

import pytest
from conftest import ROOT, refusal, small_config

from experiments import main as program
from experiments.training import Training
from lib.errors import ConfigError
from lib.runtime import checkpoints, records
from lib.runtime.run_folder import RunFolder
from lib.runtime.threshold import StopAt, Threshold

DIGITS = ROOT / "configs/classifier/digits.py"
LOGISTIC = ("classifier.model.name=logistic", "classifier.optimizer.learning_rate=0.01")


@pytest.mark.parametrize(
    ("text", "reached", "not_yet"),
    [
        ("train/model_loss:0.29", 0.29, 0.3),
        ("test/accuracy:0.9", 0.95, 0.8),
        ("-test/accuracy:0.9", 0.8, 0.95),
        ("-train/model_loss:1e2", 1e3, 1.0),
        ("a:b/c_loss:-1", -2.0, 0.0),
    ],
)
def test_losses_fall_and_others_rise_to_a_threshold(text, reached, not_yet):
    threshold = Threshold.parse(text)
    assert threshold.is_reached(reached)
    assert not threshold.is_reached(not_yet)


@pytest.mark.parametrize("text", ["train/a_loss", "train/a_loss:", ":0.3", "train/a_loss:x", "a:nan"])
def test_other_texts_are_refused(text):
    with pytest.raises(ConfigError, match="is no METRIC:VALUE"):
        Threshold.parse(text)


def run(folder, *overrides):
    """Trains the logistic regression on digits in a folder; returns (exit code, the folder)."""
    config = small_config("classifier/digits", *LOGISTIC, "num_steps=40", *overrides)
    training = Training(config, RunFolder(folder))
    try:
        return training.run(), training.folder
    finally:
        training.close()


@pytest.mark.parametrize(("stop_at", "multiple"), [("train/model_loss:1.6", 1), ("test/accuracy:0.7", 4)])
def test_a_run_stops_there_saved_evaluated_and_finished(tmp_path, capsys, stop_at, multiple):
    code, folder = run(tmp_path / "run", f"stop_at={stop_at}", "checkpoint_every=100", "batch_size=32")
    assert code == 0
    status = folder.status()
    step = status["step"]
    assert (status["status"], status["reached"]) == ("finished", stop_at)
    assert 0 < step < 40 and step % multiple == 0
    assert f"and reached {stop_at}" in capsys.readouterr().out
    assert checkpoints.steps(folder.checkpoints) == [step]
    assert records.read_held_out(folder.metrics)[-1]["step"] == step
    source, metric, value = *stop_at.partition(":")[0].split("/"), float(stop_at.partition(":")[2])
    read = records.read_training if source == "train" else records.read_held_out
    values = [record[metric] for record in read(folder.metrics)]
    sign = 1 if metric.endswith("loss") else -1
    assert sign * values[-1] <= sign * value
    assert all(sign * v > sign * value for v in values[:-1])
    # The same command finds it finished; without the threshold it goes on, bitwise as one that had none.
    assert run(tmp_path / "run", f"stop_at={stop_at}", "checkpoint_every=100", "batch_size=32")[0] == 0
    assert "set another config.stop_at to go on" in capsys.readouterr().out
    assert folder.status()["reached"] == stop_at
    assert run(tmp_path / "run", "checkpoint_every=100", "batch_size=32")[0] == 0
    assert folder.status() == {"status": "finished", "step": 40, "error": ""}
    _, whole = run(tmp_path / "whole", "checkpoint_every=100", "batch_size=32")
    sums = [checkpoints.saved_checksum(f.checkpoints, 40) for f in (folder, whole)]
    assert sums[0] == sums[1]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stop_at=model_loss:0.3", "config.stop_at: 'model_loss' begins with neither train/ nor test/"),
        ("stop_at=test/acuracy:0.3", "config.stop_at: no metric 'acuracy' in test; did you mean 'accu"),
        ("stop_at=train/los", "config.stop_at: 'train/los' is no METRIC:VALUE"),
    ],
)
def test_bad_thresholds_are_refused_before_anything_is_trained(tmp_path, capsys, override, message):
    args = [f"--config.{override}", f"--workdir={tmp_path / 'run'}"]
    assert message in refusal(program.main, capsys, f"--config={DIGITS}", *args)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_threshold_of_held_out_data_needs_their_evaluation(tmp_path, capsys):
    with pytest.raises(ConfigError, match="config.stop_at: needs held-out metrics"):
        run(tmp_path / "run", "stop_at=test/accuracy:0.9", "eval_every=0")


def test_no_threshold_is_never_reached():
    assert not StopAt("").is_reached("train", {"model_loss": -1e9})
