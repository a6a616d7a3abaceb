"""Trains and scores at once: `./run.sh train_eval`. Training runs in a process of its own."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from eval.evaluation import Evaluator
from eval.follow import Follower
from eval.main import show_best
from experiments import registry
from experiments.arguments import read_command_line
from lib.errors import ConfigError, one_line_errors
from lib.runtime import cache
from lib.runtime.run_folder import RunFolder, check_same_run
from lib.runtime.trainer import Trainer

_SECONDS_TO_STOP = 120
_SECONDS_BETWEEN_POLLS = 0.1


class Training:
    """Training in a process of its own, which is asked to save and stop when this program ends."""

    def __init__(self, argv: list[str]):
        """Starts nothing; `running` does."""
        self._command = [sys.executable, "-m", "experiments.main", *argv]

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Starts training; however the block ends, stops it."""
        self.process = subprocess.Popen(self._command)
        before = signal.signal(signal.SIGTERM, self.end_program)
        try:
            yield
        finally:
            self.stop()
            signal.signal(signal.SIGTERM, before)

    def is_running(self) -> bool:
        """Tells whether training goes on."""
        return self.process.poll() is None

    def wait(self, seconds: float = math.inf) -> int | None:
        """Waits for its end, and returns its exit code; None if it is still running after so many seconds.

        Popen.wait holds a lock, on which a signal's handler would hang.
        """
        until = time.monotonic() + seconds
        while self.is_running() and time.monotonic() < until:
            time.sleep(_SECONDS_BETWEEN_POLLS)
        return self.process.returncode

    def stop(self) -> None:
        """Asks it to save and stop, and waits for that."""
        if self.is_running():
            self.process.terminate()
            if self.wait(_SECONDS_TO_STOP) is None:
                print(f"training, process {self.process.pid}, is still saving; it ends by itself")

    def end_program(self, number, frame):
        """Stops training and ends this program, as the handler of a signal.

        It waits until training has saved, for two minutes at most. What a handler raises may be swallowed
        by a library, so it raises nothing; an evaluation that is cut off here leaves nothing half, as after
        a kill.
        """
        del frame
        try:
            self.stop()
            sys.stdout.flush()
        finally:  # what was being printed may forbid both
            os._exit(128 + number)


def main(argv: list[str]) -> int:
    """Trains in one process and scores in this one; returns the exit code.

    That is training's, but for errors of the command line, of the config, and of the scoring.
    """
    # Two processes share the accelerator: neither may take most of its memory at once.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    with one_line_errors():
        raw, path, address, *_ = read_command_line(argv)
        if address is not None:
            follow = f"./run.sh eval --config.restore_path={path} --follow"
            raise ConfigError(f"only `train` has it; beside it run `{follow}`", "--distributed")
        folder = RunFolder(path)
        config = registry.validated(raw)
        if folder.config.exists():
            check_same_run(raw, registry.own_config(folder), folder, "--workdir")
        registry.check_inputs(raw, config, folder)
        cache.use_compilation_cache()
        programs = registry.programs(config)
        registry.check_steps(programs.config, folder)
        Trainer(programs, folder).check()
        evaluator = Evaluator(programs, folder)
        evaluator.check()
        folder.create()
        with folder.lock():  # so that another training is refused before this one starts
            pass
        return _train_and_score(argv, evaluator)


def _train_and_score(argv: list[str], evaluator: Evaluator) -> int:
    """Starts training and scores what it saves; returns the exit code."""
    folder, training = evaluator.folder, Training(argv)
    follower = Follower(evaluator, training.is_running)
    with follower.alone(), training.running():
        try:
            while training.is_running() and not folder.is_training():
                time.sleep(_SECONDS_BETWEEN_POLLS)
            if training.wait(0) and not folder.newest_step():
                return training.wait()  # it has said why
            record = follower.follow()
            if record or not training.wait():
                show_best(follower.best, record)
            return training.wait()
        except KeyboardInterrupt:  # the terminal sends Ctrl-C to training as well
            return training.wait(_SECONDS_TO_STOP) or 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
