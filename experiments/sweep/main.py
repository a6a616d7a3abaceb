"""Runs a config under many overrides: `./run.sh sweep`. The same command goes on with what is missing."""

import collections
import json
import os
import sys
from pathlib import Path

from absl import flags

from experiments import catalogue, registry
from experiments.sweep import results
from experiments.sweep.launch import Launcher, Planned, Resources
from lib import sweeps
from lib.command_line import parse
from lib.config import apply_overrides, load_file
from lib.errors import ConfigError, one_line_errors
from lib.runtime.files import replacing
from lib.runtime.run_folder import RunFolder, check_same_run
from lib.tables import aligned

_USAGE = """Runs a config under many overrides. The same command goes on with what is missing or unfinished.

  ./run.sh sweep --config=FILE --sweep=FILE [--jobs=N] [--eval] [--config.FIELD=VALUE ...]
  ./run.sh sweep --config=FILE --sweep=FILE --dry_run
  ./run.sh sweep --config=FILE --sweep=FILE --cluster=slurm --partition=gpu --gpus=1 --time=240
  ./run.sh sweep --results DIR

FILE of --sweep defines get_sweep(h), a list of overrides: see configs/sweeps and docs/sweeps.md.
"""


def _define(values: flags.FlagValues) -> None:
    text = lambda name, default, about: flags.DEFINE_string(name, default, about, flag_values=values)
    number = lambda name, default, about: flags.DEFINE_integer(
        name, default, about, lower_bound=0, flag_values=values
    )
    switch = lambda name, about: flags.DEFINE_bool(name, False, about, flag_values=values)
    text("config", str(catalogue.DEFAULT), "The config file.")
    text("sweep", None, "The sweep file.")
    text("workdir", None, "The sweep's folder; default: runs/sweeps/<config name>/<sweep name>.")
    text("results", None, "Gather the results of this sweep's folder, and run nothing.")
    text("best", "", "Results of the step where this metric was best, instead of the last.")
    switch("dry_run", "Print the table of runs, and run nothing.")
    switch("eval", "Score every run's last checkpoint with the evaluator when it is trained.")
    switch("retry", "Run again what has failed.")
    text("cluster", "local", "local or slurm.")
    number("jobs", 0, "How many runs at a time; 0: one here, all on a cluster.")
    text("partition", "", "Slurm's partition.")
    number("time", 0, "Minutes for each run; 0: no limit here, 1,440 on a cluster.")
    number("gpus", 0, "Accelerators for each run.")
    number("memory", 0, "GB of memory for each run, on a cluster.")
    number("cores", 0, "Cores for each run, on a cluster; here each has its share.")


def plan(values: flags.FlagValues, overrides: list[str]) -> tuple[Path, list[Planned]]:
    """(folder, runs) of a command line.

    Raises:
      ConfigError: a bad config or sweep file, or a run whose overrides do not fit; names the run.
    """
    if not values.sweep:
        raise ConfigError("--sweep: name a sweep file; those in configs/sweeps are ready to use")
    base, runs = apply_overrides(load_file(values.config), overrides), sweeps.load(values.sweep)
    names = sweeps.names(runs)
    default = Path("runs/sweeps") / _config_name(values.config) / Path(values.sweep).stem
    folder = Path(values.workdir or default).absolute()
    planned = []
    for name, run in zip(names, runs, strict=True):
        try:
            planned.append(_planned(values, base, overrides, run, RunFolder(folder / name)))
        except ConfigError as error:
            raise ConfigError(f"--sweep: run {name}: {error}") from error
    return folder, planned


def _config_name(file: str) -> str:
    return "_".join(catalogue.default_folder(file).parts[1:])


def _planned(values, base, overrides: list[str], run: sweeps.Overrides, workdir: RunFolder) -> Planned:
    swept = [f"--config.{field}={value}" for field, value in run.items()]
    raw = apply_overrides(base, swept)
    config = registry.validated(raw)
    catalogue.classifier_file(config.eval.classifier)
    if workdir.config.exists():
        check_same_run(raw, registry.own_config(workdir), workdir, "--workdir")
    place = f"--workdir={workdir.path}"
    train = ("experiments.main", f"--config={Path(values.config).absolute()}", place, *overrides, *swept)
    score = ("eval.main", f"--config.restore_path={workdir.path}")
    programs = (train, score) if values.eval else (train,)
    return Planned(workdir, run, config.num_steps, values.eval, programs)


def show(runs: list[Planned]) -> None:
    """Prints the table of runs: how far each is, and its overrides."""
    short = sweeps.short_names(field for run in runs for field in run.overrides)
    rows = [("status", *short.values())]
    rows += [(run.status(), *(str(run.overrides.get(field, "")) for field in short)) for run in runs]
    print(aligned(rows))


def launch(values: flags.FlagValues, folder: Path, runs: list[Planned]) -> int:
    """Runs what is missing or unfinished; returns 0 if all is finished now."""
    left = {"finished"} if values.retry else {"finished", "failed"}
    missing = [run for run in runs if run.status() not in left]
    counts = collections.Counter(run.status() for run in runs)
    told = ", ".join(f"{n} {status}" for status, n in counts.items())
    print(f"{len(runs)} runs in {folder}: {told}; {len(missing)} to do")
    if counts["failed"] and not values.retry:
        print("what has failed is left; --retry runs it again")
    if missing:
        jobs = values.jobs or (1 if values.cluster == "local" else len(missing))
        resources = Resources(
            values.cluster,
            min(jobs, len(missing)),
            values.partition,
            values.time,
            values.gpus,
            values.memory,
            values.cores,
        )
        launcher = Launcher(folder, resources)
        _write_sweep(values, folder, runs)
        launcher.launch(missing)
    else:
        _write_sweep(values, folder, runs)
    return int(any(run.status() != "finished" for run in runs))


def _write_sweep(values: flags.FlagValues, folder: Path, runs: list[Planned]) -> None:
    """sweep.json: what results are gathered by."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = [{"name": run.workdir.path.name, "overrides": run.overrides} for run in runs]
    named = lambda file: (
        os.path.relpath(file, catalogue.ROOT) if Path(file).is_relative_to(catalogue.ROOT) else file
    )
    record = {"config": named(values.config), "sweep": named(values.sweep), "runs": listed}
    with replacing(folder / "sweep.json") as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n")


def main(argv: list[str]) -> int:
    with one_line_errors():
        values, overrides = parse(argv, _define, _USAGE)
        if values.results:
            results.show(Path(values.results), values.best)
            return 0
        if values.cluster not in ("local", "slurm"):
            raise ConfigError(f"--cluster: unknown cluster '{values.cluster}'; use local or slurm")
        folder, runs = plan(values, overrides)
        if values.dry_run:
            show(runs)
            return 0
        try:
            code = launch(values, folder, runs)
        except KeyboardInterrupt:
            print("the same command goes on with what is missing")
            return 130
        results.show(folder, values.best)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
