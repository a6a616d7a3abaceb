"""How many runs a minute sweeps make, with shared processes and programs and without: `bench sweep`."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
from absl import flags

from benchmarks.timing import timed
from experiments import catalogue
from experiments.sweep.sweep_folder import read_sweep
from lib import sweeps, tables
from lib.command_line import parse
from lib.errors import ConfigError, lookup, one_line_errors

_USAGE = """Times whole sweeps, as a user starts them: runs a minute, those that share a process by group,
one after another or in lanes, against those with a process each.

  ./run.sh bench sweep [--cases=grid,logistic,ring8,digits] [--alone=4] [--jobs=1]
  ./run.sh bench sweep --cases=digits,mlp --seeds=64 --lanes=64

Runs with a process each take equally long: a few of a sweep are timed. MNIST is read from TFDS.
"""


class Case(NamedTuple):
    """A sweep that is timed.

    Attributes:
      config: its file, below configs/.
      sweep: its file in configs/sweeps/; "" for seeds alone.
      seeds: how many, if so.
      overrides: of all runs.
    """

    config: str
    sweep: str = ""
    seeds: int = 0
    overrides: tuple[str, ...] = ()


CASES = {
    "grid": Case("classifier/mnist_logreg", "hypergradient_grid"),
    "logistic": Case("classifier/mnist_logreg", "hypergradient"),
    "ring8": Case("gan/ring8", seeds=16, overrides=("num_steps=2000",)),
    "digits": Case("gan/digits", seeds=8, overrides=("num_steps=400",)),
    "mlp": Case("classifier/mnist_mlp", seeds=8, overrides=("num_steps=938",)),
}
_DEFAULT = "grid,logistic,ring8,digits"


def runs_of(case: Case, seeds: int) -> sweeps.Sweep:
    """Returns the runs of a case; of one of seeds alone so many, or its own number where that is 0."""
    if not case.sweep:
        return sweeps.seeds(seeds or case.seeds)
    return sweeps.load(catalogue.CONFIGS / "sweeps" / f"{case.sweep}.py")


def spread(runs: sweeps.Sweep, n: int) -> sweeps.Sweep:
    """Returns n of the runs, evenly spread, or all."""
    return [runs[i * len(runs) // n] for i in range(n)] if n < len(runs) else runs


def runs_per_minute(case: Case, runs: sweeps.Sweep, flags_of_sweep: Sequence[str]) -> tuple[float, str]:
    """Trains the runs by one command of `./run.sh sweep`.

    Returns:
      (runs per minute, how many lanes they had, as text).

    Raises:
      ConfigError: the sweep fails, for instance as its data are not here.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "sweep.py", Path(folder) / "out"
        file.write_text(f"def get_sweep(h):\n    return {runs!r}\n")
        command = [sys.executable, "-m", "experiments.sweep.main", f"--sweep={file}", f"--workdir={out}"]
        command += [f"--config={catalogue.CONFIGS / case.config}.py", *flags_of_sweep]
        command += [f"--config.{override}" for override in case.overrides]
        env = os.environ | {"PYTHONPATH": str(catalogue.ROOT)}
        done: list[subprocess.CompletedProcess] = []
        seconds = timed(
            lambda: done.append(subprocess.run(command, env=env, capture_output=True, text=True))
        )
        if done[0].returncode:
            lines = (done[0].stderr + done[0].stdout).strip().splitlines()
            error = next((line for line in lines if line.startswith("error: ")), lines[-1])
            raise ConfigError(f"the sweep of {case.config} fails: {error.removeprefix('error: ')}")
        programs = {run.program.partition(", ")[2] for run in read_sweep(out).runs}
        return 60 * len(runs) / seconds, "; ".join(sorted(filter(None, programs))) or "1 lane"


def measure(name: str, case: Case, values: flags.FlagValues) -> list[str]:
    """Returns the row of a case: runs a minute each way, and their ratios.

    Half of the runs that have a process each come before the others, half after them.
    """
    runs, jobs = runs_of(case, values.seeds), f"--jobs={values.jobs}"
    few = spread(runs, max(2, values.alone))
    half = len(few) // 2
    before, _ = runs_per_minute(case, few[:half], [jobs, "--no_groups"])
    in_turn, _ = runs_per_minute(case, runs, [jobs, "--lanes=1"])
    best, lanes = runs_per_minute(case, runs, [jobs, f"--lanes={values.lanes or 'auto'}"])
    after, _ = runs_per_minute(case, few[half:], [jobs, "--no_groups"])
    each = len(few) / (half / before + (len(few) - half) / after)
    row = [name, str(len(runs)), *(f"{rate:.1f}" for rate in (each, in_turn, best))]
    return [*row, lanes, f"{in_turn / each:.1f}", f"{best / each:.1f}", f"{best / in_turn:.2f}"]


def _define(values: flags.FlagValues) -> None:
    flags.DEFINE_list("cases", _DEFAULT, f"Some of {', '.join(CASES)}.", flag_values=values)
    text = "How many runs with a process each are timed, at least 2."
    flags.DEFINE_integer("alone", 4, text, lower_bound=2, flag_values=values)
    flags.DEFINE_integer("jobs", 1, "Processes at a time.", lower_bound=1, flag_values=values)
    text = "How many lanes; 0: as many as are fastest."
    flags.DEFINE_integer("lanes", 0, text, lower_bound=0, flag_values=values)
    text = "How many seeds in the cases of seeds alone; 0: each case's own."
    flags.DEFINE_integer("seeds", 0, text, lower_bound=0, flag_values=values)


def main(argv: list[str]) -> int:
    with one_line_errors():
        values, overrides = parse(argv, _define, _USAGE)
        if overrides:
            raise ConfigError("a benchmark has no config", overrides[0])
        cases = {name: lookup(CASES, name, "--cases") for name in values.cases}
        devices = jax.devices()
        print(f"{len(devices)} x {devices[0].device_kind}, {os.cpu_count()} cores; runs a minute")
        head = ("case", "runs", "a process each", "in turn", "in lanes", "lanes")
        rows = [(*head, "in turn / each", "in lanes / each", "in lanes / in turn")]
        for name, case in cases.items():
            rows.append(measure(name, case, values))
            print("  ".join(rows[-1]), file=sys.stderr, flush=True)
        print(tables.aligned(rows))
    return 0
