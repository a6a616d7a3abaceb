"""Trains and scores at once: `./run.sh train_eval`. Training runs in a process of its own."""

import contextlib
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


class _Training:
    """Training in a process of its own, and whether a signal has asked for the end."""

    def __init__(self, argv: list[str]):
        self.process = subprocess.Popen([sys.executable, "-m", "experiments.main", *argv])
        self._signal = 0

    def stop(self, number, frame):
        """Ends this program, as the handler of a signal."""
        del frame
        self._signal = number
        raise SystemExit(128 + number)

    def is_running(self) -> bool:
        """Tells whether training goes on.

        Raises:
          SystemExit: a signal came, and a library has swallowed what its handler raised.
        """
        if self._signal:
            raise SystemExit(128 + self._signal)
        return self.process.poll() is None


@contextlib.contextmanager
def _training(argv: list[str]) -> Iterator[_Training]:
    """Starts training in a process of its own; however the block ends, asks it to save and stop."""
    training = _Training(argv)
    process = training.process
    before = signal.signal(signal.SIGTERM, training.stop)
    try:
        yield training
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                print(f"training, process {process.pid}, is still saving; it ends by itself")
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
            process = training.process
            try:
                while training.is_running() and not folder.is_training():
                    time.sleep(0.2)
                if process.poll() and not checkpoints.steps(folder.checkpoints):
                    return process.returncode  # it has said why
                evaluator = Evaluator(registry.programs(config), folder)
                follower = Follower(evaluator, training_runs=training.is_running)
                record = follower.follow()
                if record or not process.wait():
                    show_best(follower.best, record)
                return process.wait()
            except KeyboardInterrupt:  # the terminal sends Ctrl-C to training as well
                return process.wait(_SECONDS_TO_STOP)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
