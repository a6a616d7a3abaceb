"""Sweeps as a user meets them: killed and completed, failed runs, wrong words, and a real Slurm."""

import contextlib
import io
import json
import multiprocessing
import os
import re
import signal
import subprocess
import time
import types
from pathlib import Path
from typing import NamedTuple

import pytest
import submitit
from conftest import ROOT, program, refusal, run

from experiments.sweep import job, launch
from experiments.sweep.main import main
from lib.runtime import checkpoints, files
from lib.runtime.run_folder import RunFolder

HERE = Path(__file__).parent
MAIN = "experiments.sweep.main"
# A toy game of one player: no data, no network.
CONFIG = """
from configs.games.base import ALONE, base, method

def get_config():
    config = base("quadratic_loss", [(-0.35, -0.2)], weights=(1.0, 0.01))
    config.num_steps = config.log_every = config.eval_every = config.checkpoint_every = 6
    config.games.methods.sgd = method(0.9, players=ALONE)
    return config
"""
MODEL = "games.methods.sgd.optimizers.model"
RATES = f"h.values('{MODEL}.learning_rate', [0.1, 0.2])"
WRONG = f"h.fixed('{MODEL}.name', 'nothing')"


def command(folder, *more, runs=RATES):
    """Returns the arguments of a sweep below a folder, whose files are written there."""
    (folder / "config.py").write_text(CONFIG)
    (folder / "sweep.py").write_text(f"def get_sweep(h):\n    return {runs}\n")
    place = [f"--{name}={folder / file}" for name, file in (("config", "config.py"), ("sweep", "sweep.py"))]
    return [*place, f"--workdir={folder / 'out'}", *more]


def runs_of(folder) -> dict[str, RunFolder]:
    """Returns the folders of a sweep's runs by their names."""
    listed = json.loads((folder / "out" / "sweep.json").read_text())["runs"]
    return {r["name"]: RunFolder(folder / "out" / r["name"]) for r in listed}


def statuses(folder) -> list[str]:
    """Returns the status of every run of a sweep."""
    return [run_folder.status().get("status", "new") for run_folder in runs_of(folder).values()]


def wait_for(folder, status, n, launcher):
    """Waits until n runs have a status."""
    while not (folder / "out/sweep.json").exists() or statuses(folder).count(status) < n:
        time.sleep(0.1)
        assert launcher.poll() is None, launcher.communicate()


def kill_group(process):
    """Kills the launcher and all that it has started, at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def written(folder, names) -> dict[str, int]:
    """Returns when the statuses of runs were written."""
    return {n: (runs_of(folder)[n].path / "status.json").stat().st_mtime_ns for n in names}


class Killed(NamedTuple):
    """A sweep of three runs, the last of which fails, whose launcher was killed and started again.

    Attributes:
      folder: that holds its files.
      before: {name: when its status was written} of the runs that had finished before.
      after: the same, at the end.
      code, output: of the second launcher.
    """

    folder: Path
    before: dict[str, int]
    after: dict[str, int]
    code: int
    output: str


@pytest.fixture(scope="module")
def killed(tmp_path_factory, program_env):
    """Launches the sweep in a program, kills it, and launches it again in this process."""
    folder = tmp_path_factory.mktemp("killed")
    sweep = command(folder, "--jobs=2", runs=f"h.chain({RATES}, {WRONG})")
    launcher = program(program_env, *sweep, module=MAIN, start_new_session=True)
    wait_for(folder, "finished", 1, launcher)
    kill_group(launcher)
    finished = [n for n, w in runs_of(folder).items() if w.status().get("status") == "finished"]
    before, output = written(folder, finished), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output):
        patch.chdir(ROOT)
        code = main(sweep)
    return Killed(folder, before, written(folder, finished), code, output.getvalue())


@pytest.mark.program
def test_a_killed_sweep_is_completed_without_repeating_what_is_finished(killed, capsys):
    assert 1 <= len(killed.before) < 3
    assert f"{3 - len(killed.before)} to do" in killed.output
    assert killed.before == killed.after
    sound = command(killed.folder, "--jobs=2")
    assert main(sound) == 0
    assert "2 finished; 0 to do" in capsys.readouterr().out
    assert statuses(killed.folder) == ["finished"] * 2
    folders = runs_of(killed.folder).values()
    assert all(checkpoints.steps(w.checkpoints) == [6] for w in folders)
    methods = [json.loads(w.config.read_text())["games"]["methods"]["sgd"] for w in folders]
    assert {m["optimizers"]["model"]["learning_rate"] for m in methods} == {0.1, 0.2}


@pytest.mark.program
def test_a_failed_run_stops_no_other_and_is_listed_with_its_error(killed, capfd):
    assert killed.code == 1
    error = rf"^failed +name=nothing .*: config\.{re.escape(MODEL)}\.name: unknown optimiser 'nothing'"
    assert re.search(error, killed.output, re.M)
    assert "Traceback" not in killed.output
    assert "Traceback" not in (killed.folder / "out" / "name=nothing" / job.LOG).read_text()
    assert main(command(killed.folder, "--jobs=2", runs=f"h.chain({RATES}, {WRONG})")) == 1
    assert sorted(statuses(killed.folder)) == ["failed", "finished", "finished"]
    again = capfd.readouterr().out
    assert "0 to do" in again
    assert "--retry" in again


@pytest.mark.program
def test_sigterm_lets_the_runs_save(tmp_path, program_env):
    steps = ["--config.num_steps=10000000", "--config.checkpoint_every=10000000"]
    sweep = command(tmp_path, "--jobs=2", *steps, "--config.log_every=1000", "--config.eval_every=0")
    launcher = program(program_env, *sweep, module=MAIN, start_new_session=True)
    try:
        wait_for(tmp_path, "training", 2, launcher)
        time.sleep(2)
        os.killpg(launcher.pid, signal.SIGTERM)  # as a cluster does it: to every process
        out, _ = launcher.communicate(timeout=200)
    finally:
        if launcher.poll() is None:
            kill_group(launcher)
    assert launcher.returncode == 130
    assert "the same command goes on" in out
    stopped = [w for w in runs_of(tmp_path).values() if w.status()]
    assert len(stopped) == 2
    assert all(w.status()["status"] == "stopped" for w in stopped)
    assert all(checkpoints.steps(w.checkpoints) == [w.status()["step"]] for w in stopped)


def test_a_run_that_another_launcher_left_going_is_not_started_twice(tmp_path):
    with files.lock(job.lock_of(tmp_path)) as lock:
        assert lock
        assert files.is_locked(job.lock_of(tmp_path))
        ran = job.Job((job.JobRun(str(tmp_path), (("this_is_no_module",),)),))()
        assert ran == 0
        assert not (tmp_path / job.LOG).exists()
    assert not files.is_locked(job.lock_of(tmp_path))


def test_a_run_that_dies_soon_after_its_launcher_is_started_again(tmp_path, monkeypatch):
    submitted = []
    args = command(tmp_path, runs="h.fixed('seed', 3)")
    run_folder = RunFolder(tmp_path / "out" / "seed=3")
    run_folder.create()
    dying = files.lock(job.lock_of(run_folder.path))
    dying.__enter__()

    def sleep(seconds):
        if not submitted:
            dying.__exit__(None, None, None)

    def submit(self, job):
        submitted.append(job)
        run_folder.set_status("finished", 6)
        return types.SimpleNamespace(done=lambda: True)

    monkeypatch.setattr(launch, "time", types.SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    monkeypatch.setattr(submitit.AutoExecutor, "submit", submit)
    assert main(args) == 0
    assert len(submitted) == 1


@pytest.mark.program
def test_a_program_outlives_its_killed_job_and_is_known_to_be_alive(tmp_path):
    program = ("timeit", "-n1", "-r1", "import time; time.sleep(3)")
    left = job.Job((job.JobRun(str(tmp_path), (program,)),))
    worker = multiprocessing.get_context("spawn").Process(target=left)
    worker.start()
    while not (tmp_path / job.LOG).exists():
        time.sleep(0.05)
    time.sleep(0.5)
    worker.kill()
    worker.join()
    assert files.is_locked(job.lock_of(tmp_path))
    assert left() == 0  # a second one leaves it alone
    until = time.monotonic() + 60
    while files.is_locked(job.lock_of(tmp_path)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not files.is_locked(job.lock_of(tmp_path))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--config.num_stepz=3"], "config.num_stepz: unknown field; did you mean 'num_steps'?"),
        (["--cluster=pbs"], "--cluster: unknown cluster 'pbs'; use local, slurm, here"),
        (["--cluster=here", "--eval"], "--eval: it is for processes of their own; use --cluster=local"),
        (["--cluster=here", "--jobs=2"], "--jobs: it is for processes of their own; use --cluster=local"),
        (["--lanes=some"], "--lanes: 'some' is no number of lanes; use auto, 1, 2 .."),
        (["--sweep=nothing.py"], "--sweep: no file 'nothing.py'"),
        (["--config=configs/gan/digits.py"], "learning_rate=0.1: config.games: "),
    ],
)
def test_bad_input_starts_nothing(tmp_path, capsys, monkeypatch, args, message):
    monkeypatch.chdir(ROOT)
    assert message in refusal(main, capsys, *command(tmp_path), *args)
    assert not (tmp_path / "out").exists()


def test_runs_in_this_process_are_those_of_processes_of_their_own(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(subprocess, "Popen", None)
    assert main(command(tmp_path, "--cluster=here", runs=f"{RATES} + {WRONG}")) == 1
    assert statuses(tmp_path) == ["finished", "finished", "failed"]
    wrong = next(folder for name, folder in runs_of(tmp_path).items() if "nothing" in name)
    assert "nothing" in wrong.status()["error"]
    assert "failed" in capsys.readouterr().out
    assert main(command(tmp_path, "--cluster=here", runs=f"{RATES} + {WRONG}")) == 1
    assert "0 to do" in capsys.readouterr().out


@pytest.mark.parametrize("left", [1, 2])
def test_a_run_gets_the_same_cores_however_many_are_left(tmp_path, monkeypatch, left):
    cores = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {2, 3, 4, 5})
    monkeypatch.setattr(submitit.AutoExecutor, "submit", lambda self, job: cores.append(job.cores))
    monkeypatch.setattr(launch.Launcher, "launch", lambda self, runs, to_stop: self._start(list(runs)))
    if left == 1:
        done = RunFolder(tmp_path / "out" / "learning_rate=0.1")
        done.create()
        done.set_status("finished", 6)
    main(command(tmp_path, "--jobs=2"))
    assert cores == [(2, 3), (4, 5)][:left]


def test_a_dry_run_prints_the_table_and_starts_nothing(tmp_path, capsys):
    sweep = command(tmp_path, "--dry_run", runs=f"h.product({RATES}, h.seeds(2))")
    assert main(sweep) == 0
    table = capsys.readouterr().out
    assert table.split()[:8] == ["group", "status", "learning_rate", "seed", "1", "new", "0.1", "0"]
    assert table.count("\n") == 6
    assert "4 runs in 1 group;" in table
    assert not (tmp_path / "out").exists()


@pytest.fixture
def slurm(tmp_path):
    """Starts a Slurm of one node; its SLURM_CONF."""
    script = [str(HERE / "slurm_node.sh")]
    started = subprocess.run([*script, "start", tmp_path / "slurm"], capture_output=True, text=True)
    if started.returncode == 77:
        pytest.skip(started.stderr.strip())
    assert started.returncode == 0, started.stderr
    yield started.stdout.strip()
    subprocess.run([*script, "stop", tmp_path / "slurm"], check=True)


@pytest.mark.program
def test_the_same_sweep_on_slurm(tmp_path, program_env, slurm):
    env = program_env | {"SLURM_CONF": slurm}
    cluster = ["--cluster=slurm", "--partition=local", "--time=10", "--memory=4", "--cores=1"]
    sweep = command(tmp_path, *cluster, runs=f"h.product({RATES}, h.seeds(2))")
    launcher = program(env, *sweep, module=MAIN, start_new_session=True)
    wait_for(tmp_path, "finished", 1, launcher)
    kill_group(launcher)  # the jobs stay with Slurm; a second launcher waits for these very jobs
    ids = {n: (w.path / "slurm_job.txt").read_text() for n, w in runs_of(tmp_path).items()}
    assert len(set(ids.values())) == 1  # a group is one job
    done = run(env, MAIN, *sweep)
    assert done.returncode == 0, done.stdout + done.stderr
    assert statuses(tmp_path) == ["finished"] * 4
    assert ids == {n: (w.path / "slurm_job.txt").read_text() for n, w in runs_of(tmp_path).items()}
