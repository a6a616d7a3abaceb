"""Draws a picture of results or of theory: `./run.sh plot PICTURE ...`."""

import importlib
import sys
from typing import NamedTuple

from lib.errors import ConfigError, lookup, one_line_errors


class Summary(NamedTuple):
    """A line of help on the module analysis.<name>, which has `run(argv)` and is imported to run it."""

    arguments: str
    summary: str


PICTURES = {
    "central_flow": Summary("", "gradient descent at the edge of stability, and its central flow"),
    "compare": Summary("RUN [RUN ...]", "learning rates and losses against epochs and iterations"),
    "density": Summary("RUN", "all eigenvalues of a player's Hessian and Gauss-Newton matrix"),
    "eigengame": Summary("RUN [RUN ...]", "streaks and distances of EigenGame runs and of scikit-learn"),
    "landscape": Summary("RUN", "a player's loss along its sharpest directions, and the path"),
    "local_error": Summary(
        "[RUN]", "the drift of updates, on both clocks, and the modified flow of third order"
    ),
    "methods": Summary("--config=FILE", "eigenvalues and speed of a toy game's methods"),
    "momentum": Summary("--config=FILE", "what momentum does to a toy game"),
    "principal_flow": Summary("", "gradient descent against flows that model it"),
    "sharpness": Summary("RUN [RUN ...]", "the Hessian's largest eigenvalue and 2/h along training"),
    "spectrum": Summary("RUN", "eigenvalues of a trained game and of its update"),
    "sweep": Summary("DIR --x=FIELD --y=METRIC", "curves or a heat map over the runs of a sweep"),
}


def usage() -> str:
    """Returns the help of all pictures, one line each."""
    lines = [
        f"  {f'./run.sh plot {name} {picture.arguments}':50} {picture.summary}"
        for name, picture in PICTURES.items()
    ]
    head = (
        "Draws a picture of results or of theory. Each picture's own options: ./run.sh plot PICTURE --help"
    )
    return "\n".join([head, "", *lines, ""])


def main(argv: list[str]) -> int:
    """Calls the command of the picture that a command line names; returns the exit code."""
    with one_line_errors():
        if not argv:
            raise ConfigError(f"name a picture; known: {', '.join(PICTURES)}", "plot")
        if argv[0] in ("-h", "--help"):
            print(usage())
            return 0
        lookup(PICTURES, argv[0], "plot")
        importlib.import_module(f"analysis.{argv[0]}").run(argv[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
