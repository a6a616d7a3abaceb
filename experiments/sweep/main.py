"""Runs a config under many overrides: `./run.sh sweep`. The same command goes on with what is missing."""

import collections
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from experiments import catalogue, registry
from experiments.sweep import results, structure
from experiments.sweep.batches import Batch, by_structure, in_parts
from experiments.sweep.launch import Launcher, Resources
from experiments.sweep.plan import Planned, plan, sweep_folder_of
from lib import sweeps
from lib.command_line import parse
from lib.config import apply_overrides, load_file
from lib.errors import ConfigError, one_line_errors
from lib.runtime.json_files import write_json
from lib.tables import aligned

if TYPE_CHECKING:
    from experiments.sweep.search import Search

_USAGE = """Runs a config under many overrides. The same command goes on with what is missing or unfinished.

  ./run.sh sweep --config=FILE --sweep=FILE [--jobs=N] [--eval] [--config.FIELD=VALUE ...]
  ./run.sh sweep --config=FILE --sweep=FILE --dry_run
  ./run.sh sweep --config=FILE --sweep=FILE --cluster=slurm --partition=gpu --gpus=1 --time=240
  ./run.sh sweep --config=FILE --sweep=FILE --trials=40 --metric=-test/loss [--prune=median] [--jobs=N]
  ./run.sh sweep --results DIR [--best=METRIC] [--until=METRIC:VALUE]

FILE of --sweep defines get_sweep(h), a list of overrides: see configs/sweeps and docs/sweeps.md.
"""

_AUTO = "auto"
_HERE = "here"
_CLUSTERS = ("local", "slurm", _HERE)
_OF_PROCESSES = ("eval", "no_groups", "jobs", "time", "gpus", "memory", "cores")  # flags
# {flag: (default, help)}
_TEXTS = {
    "config": (str(catalogue.DEFAULT), "The config file."),
    "sweep": (None, "The sweep file."),
    "workdir": (None, "The sweep's folder; default: runs/sweeps/<config name>/<sweep name>."),
    "results": (None, "Gather the results of this sweep's folder, and run nothing."),
    "best": ("", "Results of the step where this metric was best, instead of the last."),
    "until": ("", "METRIC:VALUE: among the results, how long each run took to this threshold."),
    "cluster": ("local", "local, slurm, or here: in this process, as debuggers and short tests want it."),
    "partition": ("", "Slurm's partition."),
    "metric": ("", "Of a search: -test/loss is to be small, test/accuracy large."),
    "lanes": (_AUTO, "How many runs a process trains side by side; auto: as many as are fastest."),
}
_SWITCHES = {
    "no_groups": "Give each run a process of its own, which compiles for itself.",
    "dry_run": "Print the table of runs, and run nothing.",
    "eval": "Score every run's last checkpoint with the evaluator when it is trained.",
    "retry": "Run again what has failed.",
}
_COUNTS = {
    "jobs": "How many processes at a time; 0: one on this machine, all on a cluster.",
    "trials": "Of a search: how many runs, chosen one after another by what came out.",
    "search_seed": "Of a search.",
    "time": "Minutes for each job; 0: no limit here, 1,440 on a cluster.",
    "gpus": "Accelerators for each job.",
    "memory": "GB of memory for each job, on a cluster.",
    "cores": "Cores for each job, on a cluster; here each has its share.",
}


def _define(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    for name, (default, text) in _TEXTS.items():
        flags.DEFINE_string(name, default, text, flag_values=values)
    text = "Of a search: stop runs that are worse than others were."
    flags.DEFINE_enum("prune", "", ["", "median", "hyperband"], text, flag_values=values)
    for name, text in _SWITCHES.items():
        flags.DEFINE_bool(name, False, text, flag_values=values)
    for name, text in _COUNTS.items():
        flags.DEFINE_integer(name, 0, text, lower_bound=0, flag_values=values)


def show(runs: list[Planned], grouped: bool) -> None:
    """Prints the table of runs: their groups, how far each is, and its overrides."""
    short = sweeps.short_names(field for run in runs for field in run.overrides)
    numbers = structure.group_numbers([run.structure for run in runs])
    rows = [("group", "status", *short.values())]
    for number, run in zip(numbers, runs, strict=True):
        rows.append((str(number), run.status(), *(str(run.overrides.get(f, "")) for f in short)))
    print(aligned(rows if grouped else [row[1:] for row in rows]))
    if grouped:
        n = max(numbers)
        print(f"{len(runs)} runs in {n} group{'s' * (n > 1)}; those of a group differ in numbers alone")
        if apart := structure.differing([run.structure for run in runs]):
            print(f"groups differ in {', '.join(apart)}")


def launch(
    values: flags.FlagValues,
    folder: Path,
    runs: list[Planned],
    only: Collection[str] | None = None,
    to_stop: Callable[[], Iterable[str]] = tuple,
) -> int:
    """Launches what is missing or unfinished; returns 0 if all is finished now.

    Args:
      only: names of the runs that may be launched; None: all.
      to_stop: of `Launcher.launch`.
    """
    left = {"finished"} if values.retry else {"finished", "failed"}
    missing = [run for run in runs if run.status() not in left and (only is None or run.name in only)]
    counts = collections.Counter(run.status() for run in runs)
    summary = ", ".join(f"{n} {status}" for status, n in counts.items())
    print(f"{len(runs)} runs in {folder}: {summary}; {len(missing)} to do")
    if counts["failed"] and not values.retry:
        print("what has failed is left; --retry runs it again")
    resources = _resources(values, len(runs))
    launcher = Launcher(folder, resources) if missing and values.cluster != _HERE else None
    _write_sweep(values, folder, runs)
    if launcher:
        launcher.launch(_batches(values, missing, resources.jobs), to_stop)
    elif missing:
        _train_here(missing, resources.lanes)
    return int(any(run.status() != "finished" for run in runs))


def _train_here(runs: list[Planned], lanes: int) -> None:
    """Trains runs in this process, those of a group by one program.

    Raises:
      KeyboardInterrupt: by Ctrl-C or SIGTERM; what was trained is saved.
    """
    from experiments.sweep import batch  # with JAX, which a launcher of processes does not need

    (whole,) = in_parts(runs, jobs=1)
    commands = [batch.Command(str(run.folder.path), list(run.programs[0][1:])) for run in whole.runs]
    if batch.train(commands, lanes):
        raise KeyboardInterrupt


def _batches(values: flags.FlagValues, runs: list[Planned], jobs: int) -> list[Batch]:
    """Returns which runs share a process."""
    if values.no_groups:
        return [Batch([run]) for run in runs]
    return by_structure(runs) if values.cluster == "slurm" else in_parts(runs, jobs)


def _resources(values: flags.FlagValues, n: int) -> Resources:
    """Returns what each of n runs gets: the same, however many of them are left to do."""
    return Resources(
        values.cluster,
        values.jobs or (n if values.cluster == "slurm" else 1),
        0 if values.lanes == _AUTO else int(values.lanes),
        values.partition,
        values.time,
        values.gpus,
        values.memory,
        values.cores,
    )


def _write_sweep(values: flags.FlagValues, folder: Path, runs: list[Planned]) -> None:
    """Writes sweep.json, by which results are gathered."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = [{"name": run.name, "overrides": run.overrides} for run in runs]
    record = {"config": _short_path(values.config), "sweep": _short_path(values.sweep), "runs": listed}
    write_json(folder / "sweep.json", record)


def _short_path(file: str) -> str:
    """Returns a file of this tree as relative to it, others as they are."""
    return os.path.relpath(file, catalogue.ROOT) if Path(file).is_relative_to(catalogue.ROOT) else file


def run(argv: list[str], runs: sweeps.Sweep | None = None, show_results: bool = True) -> int:
    """Launches what a command line says; returns 0 if all is finished now, 130 after Ctrl-C.

    Args:
      argv: without the program's name.
      runs: in the place of a sweep file's.
      show_results: whether tables of what came out are printed in the end, and written.

    Raises:
      ConfigError: bad flags, or as of `plan`.
    """
    values, overrides = parse(argv, _define, _USAGE)
    if values.results:
        results.show(Path(values.results), values.best, values.until)
        return 0
    if values.cluster not in _CLUSTERS:
        raise ConfigError(f"unknown cluster '{values.cluster}'; use {', '.join(_CLUSTERS)}", "--cluster")
    if values.cluster == _HERE and (given := [name for name in _OF_PROCESSES if values[name].value]):
        raise ConfigError("it is for processes of their own; use --cluster=local", f"--{given[0]}")
    if not (values.lanes == _AUTO or re.fullmatch("[1-9][0-9]{0,5}", values.lanes)):
        raise ConfigError(f"'{values.lanes}' is no number of lanes; use {_AUTO}, 1, 2 ..", "--lanes")
    if not re.fullmatch(r"[\w.,+-]*", values.partition):  # it becomes a line of a script
        raise ConfigError(f"{values.partition!r} is no partition's name", "--partition")
    if values.trials:
        return _search(values, overrides)
    if given := [f"--{name}" for name in ("metric", "prune", "search_seed") if values[name].present]:
        raise ConfigError("is of a search; say how many --trials", given[0])
    folder, planned = plan(values, overrides, runs)
    if values.dry_run:
        show(planned, not values.no_groups)
        return 0
    try:
        code = launch(values, folder, planned)
    except KeyboardInterrupt:
        print("the same command goes on with what is missing")
        return 130
    if show_results:
        results.show(folder, values.best, values.until)
    return code


def _search(values: flags.FlagValues, overrides: list[str]) -> int:
    """Makes trials until there are as many as are asked for; returns 0 if at least one is finished.

    Raises:
      ConfigError: bad flags, a bad sweep file, or a trial whose overrides do not fit the config.
    """
    from experiments.sweep import search  # with Optuna
    from experiments.sweep.goal import Goal

    for name in ("dry_run", "retry"):
        if values[name].value:
            raise ConfigError("is not of a search; leave it out", f"--{name}")
    if values.prune and values.cluster != "local":
        raise ConfigError("runs are pruned on this machine alone", "--prune")
    values.no_groups = values.no_groups or bool(values.prune)  # one run is stopped, not those beside it
    folder, space = sweep_folder_of(values), sweeps.load_space(values.sweep)
    goal = Goal.parse(values.metric or "")
    config = registry.validated(apply_overrides(load_file(values.config), overrides))
    goal.check(config)
    every = config.eval_every if goal.metric.startswith("test/") else config.log_every
    pruner = search.make_pruner(values.prune, every, config.num_steps) if values.prune else None
    study = search.Search(folder, space, goal, values.search_seed, pruner)
    try:
        while wave := study.wave(values.trials, max(1, values.jobs)):
            _run_wave(values, overrides, study, wave)
            print(study.summary(), flush=True)
    except KeyboardInterrupt:
        print("the same command goes on with what is missing")
        return 130
    study.draw()
    if study.has_finished():
        results.show(folder, values.best, values.until)
    print(study.summary())
    return int(not study.has_finished())


def _run_wave(values: flags.FlagValues, overrides: list[str], study: "Search", wave: list) -> None:
    """Makes some trials, and tells the study what came of them.

    Raises:
      ConfigError: none of them fits the config: what is wrong is the same for all.
    """
    try:
        folder, planned = plan(values, overrides, study.all_overrides())
    except ConfigError:
        wave = _fitting(values, overrides, study, wave)
        folder, planned = plan(values, overrides, study.all_overrides())
    going = [(trial, study.name_of(trial, planned)) for trial in wave]
    only = [name for trial, name in going if not study.is_pruned(trial)]
    launch(values, folder, planned, only, lambda: study.to_prune(going) if values.prune else ())
    for trial, name in going:
        study.tell(trial, name)


def _fitting(values: flags.FlagValues, overrides: list[str], study: "Search", wave: list) -> list:
    """Returns the trials whose overrides fit the config; the others are refused, and said.

    Raises:
      ConfigError: none does, and nothing is refused.
    """
    errors = {}
    for trial in wave:
        try:
            plan(values, overrides, [study.overrides(trial)])
        except ConfigError as error:
            errors[trial.number] = error
    if len(errors) == len(wave):
        raise next(iter(errors.values()))
    for trial in wave:
        if error := errors.get(trial.number):
            print(f"trial {trial.number} does not fit: {error}")
            study.refuse(trial, str(error))
    return [trial for trial in wave if trial.number not in errors]


def main(argv: list[str]) -> int:
    with one_line_errors():
        return run(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
