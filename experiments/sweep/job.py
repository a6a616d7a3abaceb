"""One run of a sweep, as the launcher sends it away. Its programs run in processes of their own.

Nothing heavy is imported here: this process only starts them, passes signals on, and writes down how it
  went.
"""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import submitit

from experiments.catalogue import ROOT
from lib.runtime import files
from lib.runtime.run_folder import RunFolder

LOG = "log.txt"


@dataclasses.dataclass(frozen=True)
class Job:
    """Training of a run, and its scoring if asked for; called in the job, pickled there and back.

    Attributes:
      folder: of the run.
      programs: command lines, `(module, *arguments)`, run one after another until one fails.
      cores: numbers of the cores it may use; empty: all that it is given.
      env: what its programs see in their environment; None: without that variable.
    """

    folder: str
    programs: tuple[tuple[str, ...], ...]
    cores: tuple[int, ...] = ()
    env: Mapping[str, str | None] = dataclasses.field(default_factory=dict)

    def __call__(self) -> int:
        """Starts the programs one after another; returns the exit code of the last one."""
        if self.cores:
            os.sched_setaffinity(0, self.cores)
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        with files.lock(lock_of(Path(self.folder))) as lock:
            if lock is None:  # a launcher that was killed has left it running
                return 0
            for module, *arguments in self.programs:
                code = self._run([sys.executable, "-u", "-m", module, *arguments], lock)
                if code:
                    self._write_down(code, module)
                    return code
        return 0

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Lets the program save and stop, and queues it again; submitit calls it before the job's end."""
        if _children:
            _children[-1].terminate()
            _ended(_children[-1])
        return submitit.helpers.DelayedSubmission(self)

    def _run(self, command: list[str], lock: IO) -> int:
        """Starts a program and returns its exit code; it holds the lock too: it may outlive this job."""
        env = os.environ | {"PYTHONPATH": str(ROOT)} | self.env
        env = {name: value for name, value in env.items() if value is not None}
        with files.open_file(Path(self.folder) / LOG, "ab") as log:
            child = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=env,
                pass_fds=[lock.fileno()],
                preexec_fn=_ignore_preemption,
            )
        _children.append(child)
        signal.signal(signal.SIGTERM, lambda number, frame: child.terminate())  # a program saves first
        signal.signal(signal.SIGINT, lambda number, frame: None)  # the terminal sends the program one too
        return _ended(child)

    def _write_down(self, code: int, module: str) -> None:
        """Records a program that failed before it could say so; what is trained stays that."""
        run = RunFolder(self.folder)
        status = run.status()
        stopped = code in (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGTERM, -signal.SIGKILL)
        if not stopped and status.get("status") not in ("failed", "finished"):
            lines = [line for line in (run.path / LOG).read_text(errors="replace").splitlines() if line]
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
