"""Sweeps as a user meets them: killed and completed, failed runs, wrong words, and a real Slurm."""

import json
import multiprocessing
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import ROOT, program, refusal, run

from experiments.sweep import job
from experiments.sweep.main import main
from lib.runtime import checkpoints, files
from lib.runtime.run_folder import RunFolder

HERE = Path(__file__).parent
SWEEP = """
def get_sweep(h):
    return h.product(h.log_spaced("classifier.optimizer.learning_rate", 1e-4, 1e-2, 2), h.seeds(2))
"""
MAIN = "experiments.sweep.main"
SHORT = ["--config=configs/classifier/digits.py", "--config.num_steps=6", "--config.batch_size=8"]


def command(tmp_path, *more):
    (tmp_path / "sweep.py").write_text(SWEEP)
    return [*SHORT, f"--sweep={tmp_path / 'sweep.py'}", f"--workdir={tmp_path / 'out'}", *more]


def runs(tmp_path) -> dict[str, RunFolder]:
    listed = json.loads((tmp_path / "out" / "sweep.json").read_text())["runs"]
    return {r["name"]: RunFolder(tmp_path / "out" / r["name"]) for r in listed}


def statuses(tmp_path) -> list[str]:
    return [workdir.status().get("status", "new") for workdir in runs(tmp_path).values()]


def kill_group(process):
    """Kills the launcher and all that it has started, at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_killed_sweep_is_completed_without_repeating_what_is_finished(tmp_path, program_env, capsys):
    sweep = command(tmp_path, "--jobs=2")
    launcher = program(program_env, *sweep, module=MAIN, start_new_session=True)
    while not (tmp_path / "out/sweep.json").exists() or statuses(tmp_path).count("finished") < 1:
        time.sleep(0.1)
        assert launcher.poll() is None, launcher.communicate()
    kill_group(launcher)
    finished = {n: w for n, w in runs(tmp_path).items() if w.status().get("status") == "finished"}
    written = {n: (w.path / "status.json").stat().st_mtime_ns for n, w in finished.items()}
    assert 1 <= len(finished) < 4
    done = run(program_env, MAIN, *sweep)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{4 - len(finished)} to do" in done.stdout
    assert statuses(tmp_path) == ["finished"] * 4
    assert written == {n: (w.path / "status.json").stat().st_mtime_ns for n, w in finished.items()}
    assert all(checkpoints.steps(w.checkpoints) == [6] for w in runs(tmp_path).values())
    rates = {
        json.loads(w.config.read_text())["classifier"]["optimizer"]["learning_rate"]
        for w in runs(tmp_path).values()
    }
    assert rates == {1e-4, 1e-2}
    assert main(sweep) == 0
    assert "4 finished; 0 to do" in capsys.readouterr().out


def test_a_failed_run_stops_no_other_and_is_listed_with_its_error(tmp_path, program_env, capsys):
    (tmp_path / "sweep.py").write_text(
        "def get_sweep(h):\n"
        "    return h.chain(\n"
        "        h.fixed('classifier.optimizer.learning_rate', 1e-3),\n"
        "        h.fixed('classifier.optimizer.kwargs.b1', 'x'),\n"
        "        h.fixed('dataset.name', 'nothing'),\n"
        "    )\n"
    )
    sweep = [*SHORT, f"--sweep={tmp_path / 'sweep.py'}", f"--workdir={tmp_path / 'out'}", "--jobs=2"]
    done = run(program_env, MAIN, *sweep)
    assert done.returncode == 1
    assert sorted(statuses(tmp_path)) == ["failed", "failed", "finished"]
    assert re.search(r"^failed +name=nothing .*: config.dataset.name: no set 'nothing'", done.stdout, re.M)
    assert "Traceback" not in done.stdout + done.stderr
    main(sweep)
    again = capsys.readouterr().out
    assert "0 to do" in again
    assert "--retry" in again


def test_sigterm_lets_the_runs_save(tmp_path, program_env):
    sweep = command(tmp_path, "--jobs=2", "--config.num_steps=100000", "--config.checkpoint_every=100000")
    launcher = program(program_env, *sweep, module=MAIN, start_new_session=True)
    try:
        while not (tmp_path / "out/sweep.json").exists() or statuses(tmp_path).count("training") < 2:
            time.sleep(0.1)
            assert launcher.poll() is None, launcher.communicate()
        time.sleep(2)
        os.killpg(launcher.pid, signal.SIGTERM)  # as a cluster does it: to every process
        out, err = launcher.communicate(timeout=200)
    finally:
        if launcher.poll() is None:
            kill_group(launcher)
    assert launcher.returncode == 130
    assert "the same command goes on" in out
    stopped = [w for w in runs(tmp_path).values() if w.status()]
    assert len(stopped) == 2
    assert all(w.status()["status"] == "stopped" for w in stopped)
    assert all(checkpoints.steps(w.checkpoints) == [w.status()["step"]] for w in stopped)


def test_a_run_that_another_launcher_left_going_is_not_started_twice(tmp_path):
    with files.lock(job.lock_of(tmp_path)) as lock:
        assert lock
        assert files.is_locked(job.lock_of(tmp_path))
        ran = job.Job(str(tmp_path), (("this_is_no_module",),))()
        assert ran == 0
        assert not (tmp_path / job.LOG).exists()
    assert not files.is_locked(job.lock_of(tmp_path))


def test_a_program_outlives_its_killed_job_and_is_known_to_be_alive(tmp_path):
    left = job.Job(str(tmp_path), (("timeit", "-n1", "-r1", "import time; time.sleep(3)"),))
    worker = multiprocessing.get_context("spawn").Process(target=left)
    worker.start()
    while not (tmp_path / job.LOG).exists():
        time.sleep(0.05)
    time.sleep(0.5)
    worker.kill()
    worker.join()
    assert files.is_locked(job.lock_of(tmp_path))
    assert left() == 0  # a second one leaves it alone
    time.sleep(4)
    assert not files.is_locked(job.lock_of(tmp_path))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--config.num_stepz=3"], "config.num_stepz: unknown field; did you mean 'num_steps'?"),
        (["--cluster=pbs"], "--cluster: unknown cluster 'pbs'; use local or slurm"),
        (["--sweep=nothing.py"], "--sweep: no file 'nothing.py'"),
        (
            ["--config=configs/gan/digits.py"],
            "learning_rate=0.0001,seed=0: config.classifier: unknown field",
        ),
    ],
)
def test_bad_input_starts_nothing(tmp_path, capsys, monkeypatch, args, message):
    monkeypatch.chdir(ROOT)
    assert message in refusal(main, capsys, *command(tmp_path), *args)
    assert not (tmp_path / "out").exists()


def test_a_dry_run_prints_the_table_and_starts_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(command(tmp_path, "--dry_run")) == 0
    table = capsys.readouterr().out
    assert table.split()[:6] == ["status", "learning_rate", "seed", "new", "0.0001", "0"]
    assert table.count("\n") == 5
    assert not (tmp_path / "out").exists()


@pytest.fixture
def slurm(tmp_path):
    """SLURM_CONF of a Slurm of one node."""
    script = [str(HERE / "slurm_node.sh")]
    started = subprocess.run([*script, "start", tmp_path / "slurm"], capture_output=True, text=True)
    if started.returncode == 77:
        pytest.skip(started.stderr.strip())
    assert started.returncode == 0, started.stderr
    yield started.stdout.strip()
    subprocess.run([*script, "stop", tmp_path / "slurm"], check=True)


def test_the_same_sweep_on_slurm(tmp_path, program_env, slurm):
    env = program_env | {"SLURM_CONF": slurm}
    sweep = command(
        tmp_path, "--cluster=slurm", "--partition=local", "--time=10", "--memory=4", "--cores=1"
    )
    launcher = program(env, *sweep, module=MAIN, start_new_session=True)
    while not (tmp_path / "out/sweep.json").exists() or statuses(tmp_path).count("finished") < 1:
        time.sleep(0.1)
        assert launcher.poll() is None, launcher.communicate()
    kill_group(launcher)  # the jobs stay with Slurm; a second launcher waits for these very jobs
    ids = {n: (w.path / "slurm_job.txt").read_text() for n, w in runs(tmp_path).items()}
    done = run(env, MAIN, *sweep)
    assert done.returncode == 0, done.stdout + done.stderr
    assert statuses(tmp_path) == ["finished"] * 4
    assert ids == {n: (w.path / "slurm_job.txt").read_text() for n, w in runs(tmp_path).items()}
