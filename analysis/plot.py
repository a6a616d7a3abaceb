"""Draws a picture of results: `./run.sh plot PICTURE ...`."""

from collections.abc import Callable

from analysis import of_runs, of_theory
from lib.errors import ConfigError, lookup, one_line_errors

_USAGE = """Draws a picture of results. Each picture's own options: ./run.sh plot PICTURE --help

  ./run.sh plot sweep DIR --x=FIELD --y=METRIC   curves or a heat map over the runs of a sweep
  ./run.sh plot local_error                      the drift of updates, on both clocks
  ./run.sh plot momentum --config=FILE           what momentum does to a toy game
  ./run.sh plot principal_flow                   gradient descent against flows that model it
  ./run.sh plot compare RUN [RUN ...]            learning rates and losses against epochs and iterations
  ./run.sh plot eigengame RUN [RUN ...]          streaks and distances of EigenGame runs and of scikit-learn
  ./run.sh plot sharpness RUN [RUN ...]          the Hessian's largest eigenvalue and 2/h along training
  ./run.sh plot spectrum --config.restore_path=PATH   eigenvalues of a trained game and of its update
"""
PICTURES: dict[str, Callable[[list[str]], None]] = {
    "compare": of_runs.compare,
    "eigengame": of_runs.eigengame,
    "local_error": of_theory.local_error,
    "momentum": of_theory.momentum,
    "principal_flow": of_theory.principal_flow,
    "sharpness": of_runs.sharpness,
    "spectrum": of_runs.spectrum,
    "sweep": of_runs.sweep,
}


def main(argv: list[str]) -> int:
    with one_line_errors():
        if not argv:
            raise ConfigError(f"plot: name a picture; known: {', '.join(PICTURES)}")
        if argv[0] in ("-h", "--help"):
            print(_USAGE)
            return 0
        lookup(PICTURES, argv[0], "plot")(argv[1:])
    return 0
