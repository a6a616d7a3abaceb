"""Does a figure: its runs by the sweep program, its theory, its picture and table, and its claims."""

import dataclasses
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from analysis.reproduce import records
from analysis.reproduce.paper import Claim, Figure, Paper, Scale, Training
from analysis.reproduce.records import FAILS, HOLDS, NOT_RUN, CheckedClaim, FigureRecord
from analysis.reproduce.results import Results
from experiments import catalogue
from experiments.sweep import main as sweep
from experiments.sweep import sweep_folder
from experiments.sweep.sweep_folder import SweepRun
from lib.errors import ConfigError, one_line
from lib.pictures.figures import save_figure
from lib.runtime.files import size_of
from lib.runtime.run_folder import RunFolder
from lib.sweeps import Overrides

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

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
    made, begun = records.read_made(folder) or records.now(), time.monotonic()
    results, outcome = Results(figure, scale, folder), Outcome()
    if figure.is_run(scale) and not problems:
        try:
            outcome = _outcome(figure, results)
        except Exception as error:  # the other figures go on
            traceback.print_exc()
            problems = [one_line(error)]
    reason = "; ".join(problems) or f"not run at the scale '{scale}'"
    record = FigureRecord(
        paper=paper.name,
        figure=figure.name,
        scale=scale,
        command=f"./run.sh reproduce {paper.name} --figure={figure.name} --scale={scale}",
        made=made,
        checked=records.commit(),
        minutes=round((made.seconds + time.monotonic() - begun) / 60, 2),
        megabytes=round(size_of(folder) / 1e6, 1),
        claims=list(outcome.claims) or [_not_run(claim, reason) for claim in figure.claims],
        table=[list(row) for row in outcome.table],
        has_picture=outcome.picture is not None,
        problem="; ".join(problems),
    )
    if outcome.picture is not None:
        save_figure(outcome.picture, folder / "figure.png", dpi=100)
    records.write(record, folder)
    return record


class Outcome(NamedTuple):
    """What comes of a figure's runs: its claims, its table, and its picture."""

    claims: Sequence[CheckedClaim] = ()
    table: Sequence[Sequence[str]] = ()
    picture: "Picture | None" = None


def _outcome(figure: Figure, results: Results) -> Outcome:
    """Computes what a figure shows, checks its claims, and draws it."""
    if figure.compute:
        results = dataclasses.replace(results, computed=figure.compute(results))
    return Outcome(
        [_checked(claim, results) for claim in figure.claims],
        figure.table(results) if figure.table else (),
        figure.draw(results) if figure.draw else None,
    )


def _train(folder: Path, training: Training, scale: Scale, jobs: int) -> str:
    """Does what is missing of a training's runs; returns why some are not finished, empty if all are."""
    begun, here, made = time.monotonic(), records.now(), records.read_made(folder.parent)
    try:
        before = _progress(folder)
        _begin_again(folder)
        argv = arguments(folder, training, scale, jobs)
        code = sweep.run(argv, training.runs(scale), show_results=False)
        if _progress(folder) != before:
            records.write_made(records.added(made, here, time.monotonic() - begun), folder.parent)
        if code == 130:
            raise Stopped
        missing = [run for run in sweep_folder.read_sweep(folder).runs if not _is_a_result(run, scale)]
    except ConfigError as error:
        return one_line(error)
    reasons = "; ".join(f"{run.name}{f' ({run.error})' if run.error else ''}" for run in missing)
    return f"not finished: {reasons}" if missing else ""


def _is_a_result(run: SweepRun, scale: Scale) -> bool:
    """Tells whether a run was finished, or diverged, which is a result too; not of a smoke run."""
    return run.status == "finished" or (scale != Scale.SMOKE and _diverged(run))


def _diverged(run: SweepRun) -> bool:
    return run.status == "failed" and "not finite" in run.error


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


def _checked(claim: Claim, results: Results) -> CheckedClaim:
    """Checks a claim, if it is meant at this scale."""
    if results.scale not in (*claim.scales, Scale.SMOKE):
        return _not_run(claim, f"not run at the scale '{results.scale}'")
    ours, holds = claim.check(results)
    return CheckedClaim(name=claim.name, paper=claim.paper, ours=ours, verdict=HOLDS if holds else FAILS)


def _not_run(claim: Claim, reason: str) -> CheckedClaim:
    return CheckedClaim(name=claim.name, paper=claim.paper, ours=reason, verdict=NOT_RUN)


def _progress(folder: Path) -> dict[str, tuple]:
    """Returns how far each run of a folder is, scores included."""
    if not (folder / "sweep.json").exists():
        return {}
    runs = sweep_folder.read_sweep(folder).runs
    return {run.name: (run.status, run.step, len(run.records)) for run in runs}


def _begin_again(folder: Path) -> None:
    """Lets runs go on that have failed but did not diverge, for instance on a full disk."""
    if not (folder / "sweep.json").exists():
        return
    for run in sweep_folder.read_sweep(folder).runs:
        if run.status == "failed" and not _diverged(run):
            RunFolder(folder / run.name).set_status("stopped", run.step or 0)
