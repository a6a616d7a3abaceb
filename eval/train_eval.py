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
from experiments.main import read_command_line
from lib.errors import ConfigError, one_line_errors
from lib.runtime import cache, checkpoints
from lib.runtime.run_folder import RunFolder, check_same_run

_SECONDS_TO_STOP = 120
_SECONDS_BETWEEN_POLLS = 0.1


class Training:
    """Training in a process of its own, which is asked to save and stop when this program ends."""

    def __init__(self, argv: list[str]):
        """Starts it."""
        self.process = subprocess.Popen([sys.executable, "-m", "experiments.main", *argv])

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


@contextlib.contextmanager
def _training(argv: list[str]) -> Iterator[Training]:
    """Starts training; however the block ends, stops it."""
    training = Training(argv)
    before = signal.signal(signal.SIGTERM, training.end_program)
    try:
        yield training
    finally:
        training.stop()
        signal.signal(signal.SIGTERM, before)


def main(argv: list[str]) -> int:
    """Trains in one process and scores in this one; returns the exit code.

    That is training's, but for errors of the command line, of the config, and of the scoring.
    """
    # Two processes share the accelerator: neither may take most of its memory at once.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    with one_line_errors():
        raw, path, address = read_command_line(argv)
        if address is not None:
            follow = f"./run.sh eval --config.restore_path={path} --follow"
            raise ConfigError(f"only `train` has it; beside it run `{follow}`", "--distributed")
        folder = RunFolder(path)
        config = registry.validated(raw)
        if folder.config.exists():
            check_same_run(raw, registry.own_config(folder), folder, "--workdir")
        cache.use_compilation_cache()
        with _training(argv) as training:
            try:
                while training.is_running() and not folder.is_training():
                    time.sleep(_SECONDS_BETWEEN_POLLS)
                if training.wait(0) and not checkpoints.steps(folder.checkpoints):
                    return training.wait()  # it has said why
                evaluator = Evaluator(registry.programs(config), folder)
                follower = Follower(evaluator, training_runs=training.is_running)
                record = follower.follow()
                if record or not training.wait():
                    show_best(follower.best, record)
                return training.wait()
            except KeyboardInterrupt:  # the terminal sends Ctrl-C to training as well
                return training.wait(_SECONDS_TO_STOP) or 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
