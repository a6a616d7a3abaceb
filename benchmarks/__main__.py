"""Measures what things cost on this machine: `./run.sh bench NAME ...`."""

import importlib
import sys

from lib.errors import ConfigError, lookup, one_line_errors

_USAGE = """Measures what things cost here. Each benchmark's own options: ./run.sh bench NAME --help

  ./run.sh bench eval         images/s of sampling and of scoring
  ./run.sh bench degradations how scores rank real images that are blurred, noised, or lose classes
  ./run.sh bench gan          seconds of a GAN's training step with and without drift terms
  ./run.sh bench eigengame    EigenGame's steps against matrix products; seconds to the right components
  ./run.sh bench optimizers   steps of an MLP with optimisers that choose their rate, relative to others
  ./run.sh bench sweep        runs a minute of sweeps whose runs share processes and programs, or do not
"""
# Names of modules with main(argv) -> exit code, each imported when it is asked for.
_NAMES = ("degradations", "eigengame", "eval", "gan", "optimizers", "sweep")
BENCHMARKS = {name: f"benchmarks.{name}" for name in _NAMES}


def main(argv: list[str]) -> int:
    """Calls the benchmark that a command line names; returns the exit code."""
    with one_line_errors():
        if not argv:
            raise ConfigError(f"name a benchmark; known: {', '.join(BENCHMARKS)}", "bench")
        if argv[0] in ("-h", "--help"):
            print(_USAGE)
            return 0
        module = lookup(BENCHMARKS, argv[0], "bench")
    return importlib.import_module(module).main(argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
