"""The training program as a user meets it: stops, kills, damage, and wrong words."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, program, refusal

from experiments.main import main
from lib.config import apply_overrides, load_file
from lib.runtime import checkpoints
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder

pytestmark = pytest.mark.program

# Logistic regression on images that are shifted at random: every step depends on its batch and on its key.
SHORT = ["--config=configs/classifier/digits.py", "--config.classifier.model.name=logistic"]
SHORT += ["--config.classifier.augmentation.crop_padding=1", "--config.batch_size=8"]
SHORT += ["--config.num_steps=200", "--config.checkpoint_every=4", "--config.eval_every=0"]
SHORT += ["--config.log_every=4"]


def finished(process, timeout=240) -> tuple[int, str, str]:
    """Waits for a program; returns its exit code and what it has printed."""
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def last_state(workdir) -> str:
    """Returns the checksum that the newest checkpoint was saved with."""
    folder = workdir / "checkpoints"
    return checkpoints.saved_checksum(folder, checkpoints.steps(folder)[-1])


@pytest.fixture(scope="module")
def whole(tmp_path_factory, program_env):
    """Trains without a stop; returns the work directory. Nothing on the way imports TensorFlow."""
    workdir = tmp_path_factory.mktemp("main") / "whole"
    code = (
        "import sys; from experiments.main import main;"
        f"main({[*SHORT, f'--workdir={workdir}']!r}); print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=program_env, text=True, capture_output=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert "./run.sh eval" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"
    return workdir


def wait_for_step(workdir, process, step):
    """Waits until a program has saved a step, or a later one."""
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline:
        if any(s >= step for s in checkpoints.steps(workdir / "checkpoints")):
            return
        time.sleep(0.01)
    raise AssertionError(f"no checkpoint of step {step}; exit code {process.poll()}")


def test_signals_save_and_change_nothing(tmp_path, program_env, whole):
    """Stops a run twice; the same command continues after each. Kills are in tests/faults."""
    workdir, step = tmp_path / "stopped", 0
    args = [*SHORT, f"--workdir={workdir}"]
    for number in (signal.SIGINT, signal.SIGTERM):
        process = program(program_env, *args, start_new_session=True)
        wait_for_step(workdir, process, step + 8)
        os.killpg(process.pid, number)
        code, out, err = finished(process)
        assert (f"continuing at step {step}" in out) == (step > 0)
        step = checkpoints.steps(workdir / "checkpoints")[-1]
        assert code == 128 + number, err
        assert f"stopped and saved at step {step}; the same command continues" in out
    code, out, err = finished(program(program_env, *args))
    assert code == 0, err
    assert f"continuing at step {step}" in out
    assert last_state(workdir) == last_state(whole)
    steps = [json.loads(line)["step"] for line in (workdir / "metrics/train.jsonl").open()]
    assert steps == list(range(0, 201, 4))


def refused(capsys, *args) -> str:
    return refusal(main, capsys, *args)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--config=configs/gan/digit.py"], "did you mean 'configs/gan/digits.py'?"),
        (["--confg=x"], "Unknown command line flag 'confg'"),
        (["word"], "unexpected argument 'word'"),
        (["--config.gan.net=x"], "config.gan.net: unknown field; did you mean 'nets'?"),
        (["--workdir={tmp}/file/x"], "--workdir: cannot write"),
        (["--workdir={whole}", *SHORT, "--config.seed=3"], "config.seed: 3 here, 0 there"),
        (
            ["--workdir={tmp}/n", *SHORT, "--config.num_epochs=2"],
            "config.num_steps: num_epochs is 2 and sets it; leave one of them out",
        ),
        (["--workdir={tmp}/n", "--config.num_epochs=-2"], "config.num_epochs: should be greater than or"),
        (["--workdir={tmp}/n", "--config.restore_path=/nowhere"], "config.restore_path: no folder"),
        (["--workdir={tmp}/n", "--config.restore_path={tmp}"], "config.restore_path: '"),
        (
            ["--workdir={tmp}/n", "--config.restore_path={tmp}/empty"],
            "config.restore_path: no checkpoint in",
        ),
        (
            [
                "--workdir={tmp}/n",
                *SHORT,
                "--config.restore_path={whole}",
                "--config.dataset.validation_size=3",
            ],
            "config.dataset.validation_size: 3 here, 0 there",
        ),
        (
            ["--workdir={tmp}/n", *SHORT, "--config.restore_path={whole}", "--config.num_steps=100"],
            "config.num_steps: must be larger than 200",
        ),
        (
            ["--workdir={whole}", *SHORT, "--config.restore_path={whole}/checkpoints/196"],
            "of this very run",
        ),
        (["--config.eval.classifier=classifier/digit"], "did you mean 'classifier/digits'?"),
        (["--workdir={tmp}/n", "--config.batch_size=63"], "does not divide by the 2 devices; use 62 or 64"),
    ],
)
def test_bad_input_is_one_line_before_anything_compiles(
    tmp_path, whole, capsys, monkeypatch, args, message
):
    (tmp_path / "file").touch()
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    config = apply_overrides(load_file(ROOT / "configs/gan/digits.py"), [])
    RunFolder(tmp_path / "empty").write_config(config)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(Programs, "init", lambda self: pytest.fail("compiled before the refusal"))
    monkeypatch.setattr(Programs, "abstract_state", lambda self: None)
    assert message in refused(capsys, *[a.format(tmp=tmp_path, whole=whole) for a in args])
    assert not (tmp_path / "n" / "config.json").exists()


def test_a_second_process_in_one_work_directory_is_refused(whole, capsys):
    with (whole / ".lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "is training in" in refused(capsys, *SHORT, f"--workdir={whole}")


def test_a_finished_run_says_so_and_how_to_go_on(whole, capsys):
    assert main([*SHORT, f"--workdir={whole}"]) == 0
    assert "already trained to step 200; raise config.num_steps" in capsys.readouterr().out


def test_a_new_run_starts_from_another_ones_checkpoint(tmp_path, capsys, whole):
    args = [*SHORT, "--config.num_steps=204", f"--workdir={tmp_path}/new"]
    assert main([*args, f"--config.restore_path={whole}"]) == 0
    assert "continuing at step 200" in capsys.readouterr().out
    assert last_state(tmp_path / "new") != last_state(whole)


def test_not_finite_ends_with_code_1_and_one_line(tmp_path, capsys):
    rate = ["--config.classifier.optimizer.name=sgd", "--config.classifier.optimizer.learning_rate=3e38"]
    assert main([*SHORT, *rate, f"--workdir={tmp_path}/nan"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: step ")
    assert "not finite: " in err
    assert err.count("\n") == 1
