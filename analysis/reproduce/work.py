"""Does a figure: its runs by the sweep program, its theory, its picture and table, and its claims."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import jax

from analysis.reproduce import records
from analysis.reproduce.paper import Claim, Figure, Paper, Scale, Training
from analysis.reproduce.records import FAILS, HOLDS, NOT_RUN, CheckedClaim, FigureRecord
from analysis.reproduce.results import Results
from experiments import catalogue
from experiments.sweep import main as sweep
from experiments.sweep import sweep_folder
from lib.errors import ConfigError, one_line
from lib.pictures.figures import save_figure
from lib.runtime.devices import machine
from lib.runtime.json_files import read_json, write_json
from lib.sweeps import Overrides

# Few steps of everything, and nothing that takes time beside them.
SMOKE: Overrides = {
    "num_epochs": 0.0,
    "num_steps": 4,
    "log_every": 4,
    "eval_every": 4,
    "figures_every": 0,
    "checkpoint_every": 4,
    "steps_per_dispatch": 1,  # else the step is compiled once more, to count its operations
    "stop_at": "",
}


_ENDED = ("finished", "failed")  # a run that diverges has failed: a result, but not of a smoke run


class Stopped(Exception):
    """Says that Ctrl-C came while runs were going on."""


def do(paper: Paper, figure: Figure, scale: Scale, out: Path, jobs: int) -> FigureRecord:
    """Does what is missing of a figure, checks its claims, and writes its record and picture.

    Raises:
      Stopped: by Ctrl-C; the same command goes on.
    """
    folder = records.folder_of(out, scale, paper.name, figure.name)
    folder.mkdir(parents=True, exist_ok=True)
    problems = [
        problem
        for name, training in figure.trainings.items()
        if training.runs(scale) and (problem := _train(folder / name, training, scale, jobs))
    ]
    begun = time.monotonic()
    results, complete = Results(figure, scale, folder), figure.is_run(scale) and not problems
    if complete and figure.compute:
        results = dataclasses.replace(results, computed=figure.compute(results))
    computing = time.monotonic() - begun
    record = FigureRecord(
        paper=paper.name,
        figure=figure.name,
        scale=scale,
        command=f"./run.sh reproduce {paper.name} --figure={figure.name} --scale={scale}",
        commit=records.commit(),
        machine=machine(jax.local_devices()),
        minutes=round((_seconds(folder) + computing) / 60, 2),
        megabytes=round(_bytes(folder) / 1e6, 1),
        claims=[_checked(claim, results, complete, problems) for claim in figure.claims],
        table=[list(row) for row in figure.table(results)] if complete and figure.table else [],
        has_picture=complete and figure.draw is not None,
        problem="; ".join(problems),
    )
    if record.has_picture:
        save_figure(figure.draw(results), folder / "figure.png", dpi=100)
    records.write(record, folder)
    return record


def _train(folder: Path, training: Training, scale: Scale, jobs: int) -> str:
    """Does what is missing of a training's runs; returns why some are not finished, empty if all are."""
    begun, had_work = time.monotonic(), not _all_ended(folder)
    try:
        argv = arguments(folder, training, scale, jobs)
        code = sweep.run(argv, training.runs(scale), show_results=False)
    except ConfigError as error:
        return one_line(error)
    finally:
        if had_work:
            _add_seconds(folder.parent, time.monotonic() - begun)
    if code == 130:
        raise Stopped
    complete = _ENDED[:1] if scale == Scale.SMOKE else _ENDED
    missing = [run.name for run in sweep_folder.read_sweep(folder).runs if run.status not in complete]
    return f"not finished: {', '.join(missing)}" if missing else ""


def settings(training: Training, scale: Scale) -> Overrides:
    """Returns the fields of the config that all runs of a training set at a scale."""
    return (SMOKE if scale == Scale.SMOKE else {}) | dict(training.settings.get(scale, {}))


def arguments(folder: Path, training: Training, scale: Scale, jobs: int) -> list[str]:
    """Returns the command line of the sweep program for a training."""
    return [
        f"--config={catalogue.CONFIGS / training.config}.py",
        f"--sweep={folder.name}",
        f"--workdir={folder}",
        # A smoke run starts no processes, which would take longer than its steps.
        *(["--cluster=here", "--lanes=1"] if scale == Scale.SMOKE else [f"--jobs={jobs}"]),
        *(["--eval"] if training.evaluate and scale != Scale.SMOKE else []),
        *(f"--config.{field}={value}" for field, value in settings(training, scale).items()),
    ]


def _checked(claim: Claim, results: Results, complete: bool, problems: Sequence[str]) -> CheckedClaim:
    """Checks a claim, or says why not."""
    scale = results.scale
    if not complete or not (scale in claim.scales or scale == Scale.SMOKE):
        reason = "; ".join(problems) or f"not run at the scale '{scale}'"
        return CheckedClaim(name=claim.name, paper=claim.paper, ours=reason, verdict=NOT_RUN)
    ours, holds = claim.check(results)
    return CheckedClaim(name=claim.name, paper=claim.paper, ours=ours, verdict=HOLDS if holds else FAILS)


def _all_ended(folder: Path) -> bool:
    """Tells whether there is nothing left to train in a folder."""
    if not (folder / "sweep.json").exists():
        return False
    return all(run.status in _ENDED for run in sweep_folder.read_sweep(folder).runs)


def _seconds(folder: Path) -> float:
    """Returns how long the runs of a figure have taken, calls that were stopped included."""
    path = folder / "seconds.json"
    return read_json(path, dict[str, float])["seconds"] if path.exists() else 0.0


def _add_seconds(folder: Path, seconds: float) -> None:
    write_json(folder / "seconds.json", {"seconds": _seconds(folder) + seconds})


def _bytes(folder: Path) -> int:
    """Returns the size of a folder's files."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
