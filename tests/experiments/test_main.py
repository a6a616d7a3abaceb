"""The training program as a user meets it: stops, kills, damage, and wrong words."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, program, refusal

from experiments.main import main
from lib.config import apply_overrides, load_file
from lib.runtime import checkpoints
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder

pytestmark = pytest.mark.program

SHORT = ["--config.num_steps=120", "--config.checkpoint_every=4", "--config.batch_size=8"]
SHORT += ["--config.eval_every=0", "--config.log_every=4", "--config.gan.num_latents=4"]


def finished(process, timeout=240) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def last_state(workdir) -> str:
    """The checksum that the newest checkpoint was saved with."""
    folder = workdir / "checkpoints"
    newest = folder / str(checkpoints.steps(folder)[-1])
    return json.loads((newest / "meta" / "metadata").read_text())["checksum"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, program_env):
    """The work directory of a run that was never stopped."""
    workdir = tmp_path_factory.mktemp("main") / "whole"
    code, out, err = finished(program(program_env, *SHORT, f"--workdir={workdir}"))
    assert code == 0, err
    assert "./run.sh eval" in out
    return workdir


def wait_for_step(workdir, step, process):
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline:
        if any(s >= step for s in checkpoints.steps(workdir / "checkpoints")):
            return
        time.sleep(0.02)
    raise AssertionError(f"no checkpoint of step {step}; exit code {process.poll()}")


def test_kills_at_any_moment_change_nothing(tmp_path, program_env, whole):
    workdir = tmp_path / "killed"
    args = [*SHORT, f"--workdir={workdir}"]
    rng = np.random.default_rng()
    for step in (4, 12, 24, 40):
        process = program(program_env, *args, start_new_session=True)
        wait_for_step(workdir, step, process)
        time.sleep(rng.uniform(0, 0.05))  # within a step, a save, or between
        os.killpg(process.pid, signal.SIGKILL)
        assert finished(process)[0] == -signal.SIGKILL
    code, out, err = finished(program(program_env, *args))
    assert code == 0, err
    assert "continuing at step" in out
    assert last_state(workdir) == last_state(whole)
    steps = [json.loads(line)["step"] for line in (workdir / "metrics/train.jsonl").open()]
    assert steps == list(range(4, 121, 4))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_save_first_and_the_same_command_continues(tmp_path, program_env, whole, number):
    workdir = tmp_path / "stopped"
    args = [*SHORT, f"--workdir={workdir}"]
    process = program(program_env, *args)
    wait_for_step(workdir, 4, process)
    process.send_signal(number)
    code, out, err = finished(process)
    assert code == 128 + number, err
    assert "the same command continues" in out
    stopped_at = checkpoints.steps(workdir / "checkpoints")[-1]
    assert f"stopped and saved at step {stopped_at}" in out
    assert finished(program(program_env, *args))[0] == 0
    assert last_state(workdir) == last_state(whole)


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
        (["--workdir={tmp}/n", "--config.restore_path=/nowhere"], "config.restore_path: no folder"),
        (["--workdir={tmp}/n", "--config.restore_path={tmp}"], "config.restore_path: '"),
        (
            ["--workdir={tmp}/n", "--config.restore_path={tmp}/empty"],
            "config.restore_path: no checkpoint in",
        ),
        (
            ["--workdir={tmp}/n", *SHORT, "--config.restore_path={whole}", "--config.seed=3"],
            "config.seed: 3 here, 0 there",
        ),
        (
            ["--workdir={tmp}/n", *SHORT, "--config.restore_path={whole}", "--config.num_steps=100"],
            "config.num_steps: must be larger than 120",
        ),
        (
            ["--workdir={whole}", *SHORT, "--config.restore_path={whole}/checkpoints/116"],
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
    assert message in refused(capsys, *[a.format(tmp=tmp_path, whole=whole) for a in args])
    assert not (tmp_path / "n" / "config.json").exists()


def test_a_second_process_in_one_work_directory_is_refused(whole, capsys):
    with (whole / ".lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "is training in" in refused(capsys, *SHORT, f"--workdir={whole}")


def test_a_finished_run_says_so_and_how_to_go_on(whole, capsys):
    assert main([*SHORT, f"--workdir={whole}"]) == 0
    assert "already trained to step 120; raise config.num_steps" in capsys.readouterr().out


def test_a_new_run_starts_from_another_ones_checkpoint(tmp_path, program_env, whole):
    args = [*SHORT, "--config.num_steps=140", f"--workdir={tmp_path}/new"]
    code, out, err = finished(program(program_env, *args, f"--config.restore_path={whole}"))
    assert code == 0, err
    assert "continuing at step 120" in out
    assert last_state(tmp_path / "new") != last_state(whole)


def test_not_finite_ends_with_code_1_and_one_line(tmp_path, capsys):
    rates = [f"--config.gan.optimizers.{x}.learning_rate=1e30" for x in ("disc", "gen")]
    assert main([*SHORT, *rates, f"--workdir={tmp_path}/nan"]) == 1
    err = capsys.readouterr().err
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
