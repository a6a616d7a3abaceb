"""The training program as a user meets it: stops, kills, damage, and wrong words."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from lib import checkpoints

SHORT = ["--config.num_steps=40", "--config.checkpoint_every=4", "--config.batch_size=8"]
SHORT += ["--config.eval_every=0", "--config.log_every=4", "--config.gan.num_latents=4"]


def program(env, *args, module="experiments.main", **kwargs):
    return subprocess.Popen(
        [sys.executable, "-m", module, *args],
        cwd=ROOT,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **kwargs,
    )


def finished(process, timeout=240) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def last_state(workdir) -> str:
    """The checksum that the newest checkpoint was saved with."""
    folder = workdir / "checkpoints"
    newest = folder / str(checkpoints.steps(folder)[-1])
    return json.loads((newest / "meta" / "metadata").read_text())["checksum"]


@pytest.fixture
def uninterrupted(tmp_path, program_env):
    workdir = tmp_path / "whole"
    code, out, err = finished(program(program_env, *SHORT, f"--workdir={workdir}"))
    assert code == 0, err
    assert "./run.sh eval" in out
    return last_state(workdir)


def wait_for_step(workdir, step, process):
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline:
        if any(s >= step for s in checkpoints.steps(workdir / "checkpoints")):
            return
        time.sleep(0.02)
    raise AssertionError(f"no checkpoint of step {step}; exit code {process.poll()}")


def test_kills_at_any_moment_change_nothing(tmp_path, program_env, uninterrupted):
    workdir = tmp_path / "killed"
    args = [*SHORT, f"--workdir={workdir}"]
    for step in (4, 12, 24):
        process = program(program_env, *args, start_new_session=True)
        wait_for_step(workdir, step, process)
        os.killpg(process.pid, signal.SIGKILL)
        assert finished(process)[0] == -signal.SIGKILL
    code, out, err = finished(program(program_env, *args))
    assert code == 0, err
    assert "continuing at step" in out
    assert last_state(workdir) == uninterrupted
    steps = [json.loads(line)["step"] for line in (workdir / "metrics/train.jsonl").open()]
    assert steps == list(range(4, 41, 4))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_save_first_and_the_same_command_continues(tmp_path, program_env, uninterrupted, number):
    workdir = tmp_path / "stopped"
    args = [*SHORT, f"--workdir={workdir}"]
    process = program(program_env, *args)
    wait_for_step(workdir, 4, process)
    process.send_signal(number)
    code, out, err = finished(process)
    if code == 0:
        pytest.skip("the run was over before the signal came")
    assert code == 128 + number, err
    assert "the same command continues" in out
    stopped_at = checkpoints.steps(workdir / "checkpoints")[-1]
    assert f"stopped and saved at step {stopped_at}" in out
    assert finished(program(program_env, *args))[0] == 0
    assert last_state(workdir) == uninterrupted


def test_one_line_and_code_2(tmp_path, program_env):
    """Through the program, once for every place that finds bad input."""
    run = tmp_path / "run"
    assert finished(program(program_env, *SHORT, f"--workdir={run}"))[0] == 0
    blocked = tmp_path / "file"
    blocked.write_text("")
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    table = [
        (["--config=configs/gan/digit.py"], "did you mean 'configs/gan/digits.py'?"),
        (["--confg=x"], "Unknown command line flag 'confg'"),
        (["word"], "unexpected argument 'word'"),
        (["--config.gan.net=x"], "config.gan.net: unknown field; did you mean 'nets'?"),
        ([*SHORT, f"--workdir={blocked}/x"], "--workdir: cannot write"),
        ([*SHORT, f"--workdir={run}", "--config.seed=3"], "config.seed: 3 here, 0 there"),
        ([f"--workdir={tmp_path}/n", "--config.restore_path=/nowhere"], "config.restore_path: no folder"),
        (
            [*SHORT, f"--workdir={tmp_path}/n", f"--config.restore_path={run}", "--config.seed=3"],
            "config.seed: 3 here, 0 there",
        ),
        (
            [*SHORT, f"--workdir={tmp_path}/n", f"--config.restore_path={tmp_path}/empty"],
            "config.restore_path: ",
        ),
    ]
    for args, message in table:
        code, _, err = finished(program(program_env, *args))
        assert code == 2, (args, err)
        assert message in err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
    assert not (tmp_path / "n" / "config.json").exists()

    with (run / ".lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, _, err = finished(program(program_env, *SHORT, f"--workdir={run}"))
    assert (code, err.count("\n")) == (2, 1)
    assert "is training in" in err

    code, out, _ = finished(program(program_env, *SHORT, f"--workdir={run}"))
    assert code == 0
    assert "already trained to step 40" in out


def test_a_new_run_starts_from_another_ones_checkpoint(tmp_path, program_env, uninterrupted):
    args = [*SHORT, "--config.num_steps=60", f"--workdir={tmp_path}/new"]
    code, out, err = finished(program(program_env, *args, f"--config.restore_path={tmp_path}/whole"))
    assert code == 0, err
    assert "continuing at step 40" in out
    assert last_state(tmp_path / "new") != uninterrupted


def test_not_finite_ends_with_code_1_and_one_line(tmp_path, program_env):
    rates = [f"--config.gan.optimizers.{x}.learning_rate=1e30" for x in ("disc", "gen")]
    code, _, err = finished(program(program_env, *SHORT, *rates, f"--workdir={tmp_path}/nan"))
    assert code == 1
    assert err.startswith("error: step ")
    assert "not finite: " in err
    assert err.count("\n") == 1


def test_training_on_built_in_data_never_imports_tensorflow(tmp_path, program_env):
    code = (
        "import sys; from experiments.main import main;"
        f"main({[*SHORT, f'--workdir={tmp_path}/run']!r}); print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=program_env, text=True, capture_output=True, timeout=240
    )
    assert done.stdout.splitlines()[-1] == "False", done.stderr
