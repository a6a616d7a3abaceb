"""Runs of a sweep, as the launcher sends them away. Their programs run in processes of their own.

Nothing heavy is imported here: this process only starts them, passes signals on, and writes down how it
went.
"""

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, NamedTuple

import submitit

from experiments.catalogue import ROOT
from lib.runtime import files
from lib.runtime.records import read_scores
from lib.runtime.run_folder import RunFolder

LOG = "log.txt"
_STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)  # codes of programs that were asked to
_KILLED = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL)  # and of those that had no time to answer


class JobRun(NamedTuple):
    """A run of a job.

    Attributes:
      folder: of the run.
      programs: command lines, `(module, *arguments)`, one after another until one fails: the first trains,
        a second one scores.
    """

    folder: str
    programs: tuple[tuple[str, ...], ...]


@dataclasses.dataclass(frozen=True)
class Job:
    """Training of some runs, and their scoring if asked for; called in the job, pickled there and back.

    Attributes:
      runs: one, or those of a batch, which one process trains.
      log: what the process of a batch prints, beside the logs of its runs.
      lanes: how many runs of a group at a time; 0: as many as are fastest.
      cores: numbers of the cores it may use; empty: all that it is given.
      env: what its programs see in their environment; None: without that variable.
    """

    runs: tuple[JobRun, ...]
    log: str = ""
    lanes: int = 0
    cores: tuple[int, ...] = ()
    env: Mapping[str, str | None] = dataclasses.field(default_factory=dict)

    def __call__(self) -> int:
        """Starts the programs one after another; returns 0, or the exit code of one that failed."""
        _asked.clear()
        if self.cores:
            os.sched_setaffinity(0, self.cores)
        files.allow_many_open()  # a lock for each run here, and some files for each lane of the program
        with contextlib.ExitStack() as held:
            for number in (signal.SIGTERM, signal.SIGINT):
                held.callback(signal.signal, number, signal.signal(number, _pass_on))
            locks: dict[str, IO] = {}
            for run in self.runs:
                if _asked:
                    break
                Path(run.folder).mkdir(parents=True, exist_ok=True)
                lock = held.enter_context(files.lock(lock_of(Path(run.folder))))
                if lock is not None:  # else a launcher that was killed has left it running
                    locks[run.folder] = lock
            runs = [run for run in self.runs if run.folder in locks]
            codes = [self._train_together(runs, locks)] if len(runs) > 1 else []
            for run in runs:
                if _asked:
                    break
                programs = run.programs if len(runs) == 1 else _left_to_do(run)
                codes.append(self._all_of(run, programs, locks))
        return next(filter(None, codes), 0)

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Lets the program save and stop, and queues it again; submitit calls it before the job's end."""
        _pass_on(signal.SIGTERM, None)
        if _children:
            _ended(_children[-1])
        return submitit.helpers.DelayedSubmission(self)

    def _train_together(self, runs: list[JobRun], locks: Mapping[str, IO]) -> int:
        """Trains runs in one process; where it dies, others go on with what is left.

        Of a process that died, the run that it was at fails; where it was at several, they are trained one
        after another.
        """
        log, left, lanes, code = Path(self.log), runs, self.lanes, 0
        while left and not _asked:
            commands = [{"folder": run.folder, "arguments": run.programs[0][1:]} for run in left]
            words = {run: last_word(Path(run.folder)) for run in left}
            size = log.stat().st_size if log.exists() else 0
            program = ("experiments.sweep.batch", f"--lanes={lanes}")
            code = self._run(program, log, locks.values(), json.dumps(commands))
            if code == 0 or _asked or code in _STOPPED:
                break
            untouched = [run for run in left if last_word(Path(run.folder)) == words[run]]
            at = [run for run in left if run not in untouched and _status(run) == "killed"]
            if len(untouched) == len(left):
                at, untouched = left[:1], left[1:]
            if len(at) == 1 and code not in _KILLED:  # what is killed from outside goes on another time
                _write_down(
                    at[0].folder, _last_error(log, size) or f"{_ended_with(program, code)}; see {log}"
                )
            left = untouched if len(at) == 1 else [*at, *untouched]
            lanes = 1
        return code

    def _all_of(self, run: JobRun, programs: tuple[tuple[str, ...], ...], locks: Mapping[str, IO]) -> int:
        """Starts programs of one run in turn until one fails; returns its exit code, or 0."""
        log = Path(run.folder) / LOG
        for program in programs:
            if code := self._run(program, log, [locks[run.folder]]):
                if not (_asked or code in (*_STOPPED, *_KILLED)):
                    lines = _lines(log) or [_ended_with(program, code)]
                    _write_down(run.folder, lines[-1].removeprefix("error: "))
                return code
        return 0

    def _run(self, program: tuple[str, ...], log: Path, locks: Iterable[IO], text: str = "") -> int:
        """Starts a program and returns its exit code; it holds the locks too: it may outlive this job.

        Args:
          program: module and arguments.
          log: where it prints.
          locks: of its runs.
          text: what it reads.
        """
        env = os.environ | {"PYTHONPATH": str(ROOT)} | self.env
        env = {name: value for name, value in env.items() if value is not None}
        with files.open_file(log, "ab") as output, tempfile.TemporaryFile("w+") as stdin:
            stdin.write(text)
            stdin.seek(0)
            child = subprocess.Popen(
                [sys.executable, "-u", "-m", *program],
                stdin=stdin,
                stdout=output,
                stderr=output,
                env=env,
                pass_fds=[lock.fileno() for lock in locks],
                preexec_fn=_ignore_preemption,
            )
        _children.append(child)
        if _asked:  # in the moment before
            child.terminate()
        return _ended(child)


def _status(run: JobRun) -> str:
    return RunFolder(run.folder).status().get("status", "new")


def last_word(folder: Path) -> int | None:
    """Returns when the status of a run was last written, in ns; None where it never was."""
    file = folder / "status.json"
    return file.stat().st_mtime_ns if file.exists() else None


def _left_to_do(run: JobRun) -> tuple[tuple[str, ...], ...]:
    """Returns the programs of a run that was trained with others: those that score it, if it is to be."""
    folder = RunFolder(run.folder)
    scored = is_scored(run.folder, folder.newest_step())
    return () if _status(run) != "finished" or scored else run.programs[1:]


def is_scored(folder: str | Path, step: int) -> bool:
    """Tells whether the separate evaluator has scored a run at a step."""
    return any(record["step"] == step for record in read_scores(RunFolder(folder).metrics))


def _lines(log: Path, begin: int = 0) -> list[str]:
    """Returns the lines of a log from a byte on, without empty ones."""
    return [line for line in log.read_bytes()[begin:].decode(errors="replace").splitlines() if line]


def _last_error(log: Path, begin: int) -> str:
    """Returns the last line of a log, from a byte on, if it is an error of the program; else ""."""
    last = (_lines(log, begin) or [""])[-1]
    return last.removeprefix("error: ") if re.match(r"error: |[\w.]*(Error|Exception): ", last) else ""


def _ended_with(program: tuple[str, ...], code: int) -> str:
    return f"{program[0]} ended with code {code}"


def _write_down(folder: str, error: str) -> None:
    """Records a run whose program failed before it could say so; what is trained stays that."""
    run = RunFolder(folder)
    status = run.status()
    if status.get("status") not in ("failed", "finished"):
        run.set_status("failed", status.get("step", 0), error)


def _pass_on(number: int, frame: object) -> None:
    """Notes that the job is to stop, and lets its program save first."""
    del frame
    _asked.append(number)
    # The terminal sends its Ctrl-C to the program too.
    if number == signal.SIGTERM and _children and _children[-1].poll() is None:
        _children[-1].terminate()


_asked: list[int] = []  # signals that ask this process to stop
_children: list[subprocess.Popen] = []  # of this job's process; submitit calls checkpoint() in it


def _ended(child: subprocess.Popen) -> int:
    """Waits for a process to end.

    Popen.wait holds a lock, on which checkpoint(), a signal's handler, would hang.
    """
    while child.poll() is None:
        time.sleep(0.1)
    return child.returncode


def _ignore_preemption() -> None:
    """Ignores SIGUSR2, which Slurm sends to every process of a job; the job stops its program."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def lock_of(folder: Path) -> Path:
    """Returns the file that the job of a run, and its program, hold locked while they work on it."""
    return folder / ".job"
