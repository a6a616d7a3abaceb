"""Programs in processes that are forked from one that has imported them: they start in a moment.

A test that kills many programs cannot wait seconds for each to import JAX.
"""

import importlib
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import jax

PROGRAMS = ["experiments.main", "eval.main", "eval.train_eval", "experiments.sweep.main"]
_TIMEOUT = 120
_DEVICES = 2
_ENDINGS = (".out", ".err")

# What is killed leaves semaphores, which the standard library's tracker would list at the end.
os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["forked", *PROGRAMS])


class Program:
    """A program that runs, and is the first process of a group of its own."""

    def __init__(self, module: str, *args: str, log: Path, env: Mapping[str, str] = MappingProxyType({})):
        """Starts `python -m module args` with more variables; its output goes to log.out and log.err."""
        self._log = log
        what = (module, [*map(str, args)], str(log), dict(env))
        self._process = _context.Process(target=_run, args=what)
        self._process.start()

    @property
    def running(self) -> bool:
        return self._process.exitcode is None

    def kill(self) -> None:
        """Kills it and all that it has started."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:  # it has ended, or has no group yet
            self._process.kill()
        self._process.join()

    def wait(self) -> "Ended":
        """Waits for its end."""
        self._process.join(_TIMEOUT)
        if self.running:
            self.kill()
            raise AssertionError(f"still running after {_TIMEOUT} s: {self._printed()}")
        return Ended(self._process.exitcode, *self._printed())

    def _printed(self) -> list[str]:
        files = [Path(f"{self._log}{ending}") for ending in _ENDINGS]
        return [file.read_text() if file.exists() else "" for file in files]


class Ended(NamedTuple):
    """How a program ended: its exit code, and what it printed on standard output and standard error."""

    code: int
    out: str
    err: str


def run(module: str, *args: str, log: Path, **kwargs) -> Ended:
    """Executes a program to its end."""
    return Program(module, *args, log=log, **kwargs).wait()


def _run(module: str, args: list[str], log: str, env: dict[str, str]) -> None:
    """Becomes a program: in the forked process."""
    os.setsid()
    os.environ.update(env)
    for descriptor, ending in zip((1, 2), _ENDINGS, strict=True):
        os.dup2(os.open(f"{log}{ending}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 - as long as the process
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    warnings.filterwarnings("ignore", "os.fork")
    jax.config.update("jax_num_cpu_devices", _DEVICES)  # as in the tests' own process
    os.environ["JAX_NUM_CPU_DEVICES"] = str(_DEVICES)  # and in what it starts
    sys.exit(importlib.import_module(module).main(args))
