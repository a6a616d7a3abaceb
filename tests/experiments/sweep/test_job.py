"""The job of a sweep: what it does where its programs die, are stopped, or leave runs behind."""

import contextlib
import signal

import pytest

from experiments.sweep import job
from experiments.sweep.job import Job, JobRun
from lib.runtime import files
from lib.runtime.run_folder import RunFolder

BATCH, SCORE = "experiments.sweep.batch", "eval.main"


@pytest.fixture
def runs(tmp_path):
    """Returns four runs that are to be trained and scored."""
    made = []
    for name in "abcd":
        folder = str(tmp_path / name)
        made.append(JobRun(folder, (("experiments.main", f"--workdir={folder}"), (SCORE, folder))))
    return tuple(made)


def played(monkeypatch, *programs) -> list[str]:
    """Replaces what a job starts by functions `(names of runs) -> exit code`; returns what was started."""
    started, waiting = [], list(programs)

    def run(self, program, log, locks, text=""):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        names = [name for name in "abcd" if f'/{name}"' in text] or [program[-1][-1]]
        started.append(f"{program[0].split('.')[-1]} {''.join(names)} {' '.join(program[1:2])}".strip())
        return waiting.pop(0)(names, log) if waiting else 0

    monkeypatch.setattr(Job, "_run", run)
    monkeypatch.setattr(job, "is_scored", lambda folder, step: folder.endswith("d"))
    monkeypatch.setattr(signal, "signal", lambda *args: None)
    return started


def trained(tmp_path, *endings):
    """Returns a program that leaves runs with statuses `(name, status)`, and ends with the last word."""

    def run(names, log):
        *statuses, code, text = endings
        for name, status in statuses:
            assert name in names
            RunFolder(tmp_path / name).set_status(status, 3)
        with log.open("a") as file:
            file.write(text)
        return code

    return run


def statuses(tmp_path) -> dict[str, str]:
    return {name: RunFolder(tmp_path / name).status().get("status", "new") for name in "abcd"}


def test_the_run_at_which_a_process_dies_fails_and_others_go_on(tmp_path, runs, monkeypatch):
    text = "failed    a: ValueError: of another\nRuntimeError: no such thing\n"
    first = trained(tmp_path, ("a", "finished"), ("b", "training"), -11, text)
    second = trained(tmp_path, ("c", "finished"), ("d", "failed"), 0, "")
    started = played(monkeypatch, first, second)
    assert Job(runs, str(tmp_path / "jobs" / "log"))() == 0
    assert started[:2] == ["batch abcd --lanes=0", "batch cd --lanes=1"]
    assert [line.split()[:2] for line in started[2:]] == [["main", "a"], ["main", "c"]]
    assert statuses(tmp_path) == {"a": "finished", "b": "failed", "c": "finished", "d": "failed"}
    assert RunFolder(tmp_path / "b").status()["error"] == "RuntimeError: no such thing"


def test_runs_side_by_side_when_a_process_dies_go_on_one_after_another(tmp_path, runs, monkeypatch):
    first = trained(tmp_path, ("a", "training"), ("b", "training"), -11, "8 lanes\n")
    second = trained(tmp_path, ("a", "finished"), ("b", "training"), 1, "failed    a: Error: of another\n")
    started = played(
        monkeypatch, first, second, trained(tmp_path, ("c", "finished"), ("d", "finished"), 0, "")
    )
    Job(runs, str(tmp_path / "jobs" / "log"))()
    assert started[:3] == ["batch abcd --lanes=0", "batch abcd --lanes=1", "batch cd --lanes=1"]
    assert statuses(tmp_path) == {"a": "finished", "b": "failed", "c": "finished", "d": "finished"}
    assert RunFolder(tmp_path / "b").status()["error"].startswith(f"{BATCH} ended with code 1; see ")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_is_killed_from_outside_goes_on_another_time(tmp_path, runs, monkeypatch, number):
    first = trained(tmp_path, ("a", "training"), -number, "")
    played(monkeypatch, first, trained(tmp_path, *((n, "finished") for n in "bcd"), 0, ""))
    Job(runs, str(tmp_path / "jobs" / "log"))()
    assert statuses(tmp_path) == {"a": "killed", "b": "finished", "c": "finished", "d": "finished"}


def test_a_process_that_comes_to_nothing_ends(tmp_path, runs, monkeypatch):
    started = played(monkeypatch, *[lambda names, log: 1] * 9)
    Job(runs, str(tmp_path / "jobs" / "log"))()
    assert [line.split()[1] for line in started] == ["abcd", "bcd", "cd", "d"]
    assert set(statuses(tmp_path).values()) == {"failed"}


def test_nothing_is_scored_once_the_job_is_to_stop(tmp_path, runs, monkeypatch):
    def stop(names, log):
        job._asked.append(signal.SIGTERM)
        return -signal.SIGTERM

    everything = trained(tmp_path, *((n, "finished") for n in "abcd"), 0, "")
    started = played(monkeypatch, everything, stop)
    try:
        assert Job(runs, str(tmp_path / "jobs" / "log"))() == -signal.SIGTERM
    finally:
        job._asked.clear()
    assert [line.split()[0] for line in started] == ["batch", "main"]
    assert set(statuses(tmp_path).values()) == {"finished"}


def test_runs_that_another_process_has_are_left_to_it(tmp_path, runs, monkeypatch):
    started = played(monkeypatch, trained(tmp_path, ("b", "finished"), 0, ""))
    (tmp_path / "a").mkdir()
    with contextlib.ExitStack() as held:
        held.enter_context(files.lock(job.lock_of(tmp_path / "a")))
        Job(runs, str(tmp_path / "jobs" / "log"))()
    assert started[0] == "batch bcd --lanes=0"
