"""Training and scoring at once, in several processes: live runs, how they end, and signals."""

import signal
import time
import types

import pytest
from conftest import ROOT, program, refusal

from eval import follow, train_eval
from eval.main import main
from lib.config import apply_overrides, load_file
from lib.runtime import checkpoints, records
from lib.runtime.run_folder import RunFolder

FEW = ["--config.eval.num_samples=40", "--config.eval.num_splits=2", "--config.eval.batch_size=20"]
GAN = [f"--config={ROOT}/configs/gan/digits_adam.py", "--config.batch_size=8"]
LOGISTIC = [f"--config={ROOT}/configs/classifier/digits.py", "--config.classifier.model.name=logistic"]


@pytest.fixture(autouse=True)
def in_the_tree(monkeypatch):
    """Starts programs in the tree, and lets followers poll often."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(follow, "_SECONDS_BETWEEN_POLLS", 0.1)


def steps_of(scored):
    """Returns the steps of records."""
    return [record["step"] for record in scored]


@pytest.mark.program
def test_an_evaluator_follows_a_live_run_and_reads_nothing_half(tmp_path, program_env, capsys, monkeypatch):
    folder = RunFolder(tmp_path / "run")
    folder.create()
    args = [*LOGISTIC[1:], "--config.num_steps=40", "--config.checkpoint_every=10", "--config.eval_every=5"]
    args.append("--config.keep_checkpoints=20")
    folder.write_config(apply_overrides(load_file(ROOT / "configs/classifier/digits.py"), args))
    training = program(program_env, LOGISTIC[0], *args, f"--workdir={folder.path}")

    def sleep(seconds):
        assert not training.poll(), training.communicate()
        time.sleep(seconds)

    monkeypatch.setattr(follow, "time", types.SimpleNamespace(sleep=sleep))
    assert main([f"--workdir={folder.path}", "--follow"]) == 0
    _, err = training.communicate(timeout=200)
    assert training.returncode == 0, err
    printed = capsys.readouterr().out
    assert "waiting for a checkpoint after step 0" in printed
    assert "damaged" not in printed
    scored = records.read_scores(folder.metrics)
    assert steps_of(scored) == [10, 20, 30, 40]
    assert steps_of(records.read_held_out(folder.metrics)) == list(range(5, 41, 5))
    best = max(scored, key=lambda record: record["accuracy"])["step"]
    assert f"best by accuracy: step {best} with" in printed
    kept = RunFolder(folder.path / "best")
    assert checkpoints.steps(kept.checkpoints) == [best]
    assert main([f"--config.restore_path={kept.path}"]) == 0  # it is a work directory like any other
    capsys.readouterr()
    assert main([f"--workdir={folder.path}", "--follow", "--final_split=train[:100]"]) == 0
    printed = capsys.readouterr().out
    assert f"best by accuracy: step {best} with" in printed
    assert printed.count("on the train[:100] split of digits") == 1
    assert f"recorded in {kept.metrics}" in printed
    last = records.read_scores(kept.metrics)[-1]
    assert (last["step"], last["split"]) == (best, "train[:100]")
    assert steps_of(records.read_scores(folder.metrics)) == [10, 20, 30, 40]
    assert steps_of(records.read_scores(kept.metrics)) == [best, best]


@pytest.mark.program
@pytest.mark.usefixtures("scoring_network")
def test_train_eval_scores_all_and_passes_on_how_training_ended(tmp_path, capfd):
    folder, short = RunFolder(tmp_path / "run"), ["--config.num_steps=20", "--config.checkpoint_every=10"]
    args = [f"--workdir={folder.path}", *GAN, *short, *FEW]
    assert train_eval.main(args) == 0
    assert "best by digits_cnn_score: step" in capfd.readouterr().out
    assert steps_of(records.read_scores(folder.metrics)) == [10, 20]
    assert "config.gan.num_latents: 4 here, 32 there" in refusal(
        train_eval.main, capfd, *args, "--config.gan.num_latents=4"
    )
    failed = RunFolder(tmp_path / "failed")
    diverges = [*LOGISTIC, "--config.classifier.optimizer.learning_rate=3e38"]
    assert train_eval.main([f"--workdir={failed.path}", *diverges, *short]) == 1
    error = capfd.readouterr().err
    assert "not finite" in error
    assert "Traceback" not in error
    assert failed.status()["status"] == "failed"


@pytest.mark.program
def test_terminated_train_eval_stops_its_training(tmp_path, program_env):
    folder = RunFolder(tmp_path / "run")
    args = [f"--workdir={folder.path}", *LOGISTIC, "--config.num_steps=1000000"]
    both = program(program_env, *args, module="eval.train_eval")
    while not (folder.metrics / "train.jsonl").exists():
        time.sleep(0.1)
        assert both.poll() is None, both.communicate()
    both.send_signal(signal.SIGTERM)
    _, err = both.communicate(timeout=200)
    assert both.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in err
    assert not folder.is_training()
    assert folder.status()["status"] == "stopped"


@pytest.mark.parametrize(("lock", "doing"), [(".lock", "training"), (".follow", "scoring")])
def test_a_second_one_on_the_same_folder_is_refused_at_once(tmp_path, capsys, monkeypatch, lock, doing):
    monkeypatch.setattr(train_eval.subprocess, "Popen", lambda command: pytest.fail("training was started"))
    folder = RunFolder(tmp_path / "run")
    folder.create()
    with folder.lock(lock, doing):
        error = refusal(train_eval.main, capsys, f"--workdir={folder.path}", *LOGISTIC)
    assert f"is {doing} in" in error


def test_train_eval_is_not_for_several_processes(tmp_path, capsys):
    error = refusal(train_eval.main, capsys, "--distributed", f"--workdir={tmp_path / 'run'}")
    assert error.startswith("error: --distributed: only `train` has it")
