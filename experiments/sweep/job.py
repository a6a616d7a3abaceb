"""Runs of a sweep, as the launcher sends them away. Their programs run in processes of their own.

Nothing heavy is imported here: this process only starts them, passes signals on, and writes down how it
  went.
"""

import contextlib
import dataclasses
import json
import os
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
from lib.runtime.run_folder import RunFolder

LOG = "log.txt"


class JobRun(NamedTuple):
    """A run of a job.

    Attributes:
      folder: of the run.
      programs: command lines, `(module, *arguments)`, one after another until one fails: the first trains.
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
        if self.cores:
            os.sched_setaffinity(0, self.cores)
        with contextlib.ExitStack() as held:
            locks: dict[str, IO] = {}
            for run in self.runs:
                Path(run.folder).mkdir(parents=True, exist_ok=True)
                lock = held.enter_context(files.lock(lock_of(Path(run.folder))))
                if lock is not None:  # else a launcher that was killed has left it running
                    locks[run.folder] = lock
            runs = [run for run in self.runs if run.folder in locks]
            if len(runs) > 1:
                return self._train_together(runs, locks)
            return max((self._all_of(run, run.programs, locks) for run in runs), default=0)

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Lets the program save and stop, and queues it again; submitit calls it before the job's end."""
        if _children:
            _children[-1].terminate()
            _ended(_children[-1])
        return submitit.helpers.DelayedSubmission(self)

    def _train_together(self, runs: list[JobRun], locks: Mapping[str, IO]) -> int:
        """Trains runs in one process; if it dies, what it was at fails, and the others have another one."""
        left, code = runs, 0
        while left:
            commands = [{"folder": run.folder, "arguments": run.programs[0][1:]} for run in left]
            program = ("experiments.sweep.batch", f"--lanes={self.lanes}")
            before = {run: last_word(Path(run.folder)) for run in left}
            code = self._run(program, Path(self.log), locks.values(), json.dumps(commands))
            if _is_stopped(code):
                return code
            if code in (0, 1):
                break
            untouched = [run for run in left if last_word(Path(run.folder)) == before[run]]
            if len(untouched) == len(left):
                untouched = []  # it came to nothing
            for run in left:
                if run not in untouched:
                    _write_down(run.folder, code, program[0], Path(self.log))
            left = untouched
        scored = [self._all_of(run, run.programs[1:], locks) for run in runs if _status(run) == "finished"]
        return max([code, *scored])

    def _all_of(self, run: JobRun, programs: tuple[tuple[str, ...], ...], locks: Mapping[str, IO]) -> int:
        """Starts programs of one run in turn until one fails; returns its exit code, or 0."""
        log = Path(run.folder) / LOG
        for program in programs:
            if code := self._run(program, log, [locks[run.folder]]):
                if not _is_stopped(code):
                    _write_down(run.folder, code, program[0], log)
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
        signal.signal(signal.SIGTERM, lambda number, frame: child.terminate())  # a program saves first
        signal.signal(signal.SIGINT, lambda number, frame: None)  # the terminal sends the program one too
        return _ended(child)


def _status(run: JobRun) -> str:
    return RunFolder(run.folder).status().get("status", "new")


def last_word(folder: Path) -> int | None:
    """Returns when the status of a run was last written, in ns; None where it never was."""
    file = folder / "status.json"
    return file.stat().st_mtime_ns if file.exists() else None


def _is_stopped(code: int) -> bool:
    """Tells whether a program was stopped from outside."""
    return code in (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGTERM, -signal.SIGKILL)


def _write_down(folder: str, code: int, module: str, log: Path) -> None:
    """Records a run whose program failed before it could say so; what is trained stays that."""
    run = RunFolder(folder)
    status = run.status()
    if status.get("status") not in ("failed", "finished"):
        lines = [line for line in log.read_text(errors="replace").splitlines() if line]
        error = lines[-1] if lines else f"{module} ended with code {code}"
        run.set_status("failed", status.get("step", 0), error.removeprefix("error: "))


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
