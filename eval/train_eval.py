"""Trains and scores at once: `./run.sh train_eval`. Training runs in a process of its own."""

import subprocess
import sys
import time

from eval.evaluation import Evaluator
from eval.follow import Follower
from eval.main import show_best
from experiments import registry
from experiments.main import read_command_line
from experiments.runs import make_runner
from lib import devices
from lib.config import one_line_errors

_SECONDS_TO_STOP = 120


def main(argv: list[str]) -> int:
    with one_line_errors():
        raw, workdir = read_command_line(argv)
        config = registry.validated(raw)
        devices.use_compilation_cache()
        training = subprocess.Popen([sys.executable, "-m", "experiments.main", *argv])
        try:
            while training.poll() is None and not workdir.config.exists():
                time.sleep(0.2)
            if training.poll() not in (None, 0):
                return training.returncode
            evaluator = Evaluator(make_runner(config, workdir))
            show_best(Follower(evaluator, training_runs=lambda: training.poll() is None))
            return training.wait()
        except KeyboardInterrupt:  # the terminal sends Ctrl-C to training as well
            return training.wait(_SECONDS_TO_STOP)
        finally:
            if training.poll() is None:  # it saves first, then ends
                training.terminate()
                training.wait(_SECONDS_TO_STOP)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
