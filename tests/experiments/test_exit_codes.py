"""How a run ended, as its exit code, its status and one line."""

import signal

import pytest
from conftest import ROOT

from experiments.main import main
from lib.runtime.checkpoints import WriteError
from lib.runtime.interval_means import NotFiniteError
from lib.runtime.run_folder import RunFolder
from lib.runtime.trainer import Stopped, Trainer

ARGS = [f"--config={ROOT}/configs/classifier/digits.py", "--config.classifier.model.name=logistic"]


@pytest.fixture
def ended(monkeypatch, tmp_path):
    """Returns a function that ends a run in a way, and returns (its exit code, its status)."""

    def end(how: Stopped | Exception):
        def train(self, state, first):
            if isinstance(how, Exception):
                raise how
            return how

        monkeypatch.setattr(Trainer, "train", train)
        code = main([*ARGS, f"--workdir={tmp_path / 'run'}"])
        return code, RunFolder(tmp_path / "run").status()

    return end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_after_a_signal_it_is_128_and_the_signal_s_number(ended, capsys, number):
    code, status = ended(Stopped(3, number))
    assert code == 128 + number
    assert (status["status"], status["step"]) == ("stopped", 3)
    assert "stopped and saved at step 3; the same command continues" in capsys.readouterr().out


@pytest.mark.parametrize("error", [NotFiniteError("step 3: not finite: loss"), WriteError("disk full")])
def test_after_a_failure_it_is_1(ended, capsys, error):
    code, status = ended(error)
    assert code == 1
    assert status["status"] == "failed"
    line = capsys.readouterr().err
    assert line == f"error: {status['error']}\n"
    assert str(error) in line
