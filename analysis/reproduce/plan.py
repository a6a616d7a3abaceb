"""What there is to reproduce, and what it takes: measured on two CPU cores, or estimated from that."""

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from analysis.reproduce.paper import Figure, Paper, Scale, Training
from experiments import catalogue
from lib.config import load_file
from lib.runtime.files import replacing
from lib.runtime.json_files import read_json
from lib.tables import aligned

if TYPE_CHECKING:
    from analysis.reproduce.records import FigureRecord

_COSTS = Path(__file__).with_name("costs.json")


class Cost(NamedTuple):
    """What a figure takes on two CPU cores."""

    minutes: float
    megabytes: float


class Length(NamedTuple):
    """How much is trained: the steps or the epochs of all runs together."""

    runs: int
    total: float
    unit: str

    def __str__(self) -> str:
        each = self.total / self.runs if self.runs else 0
        return f"{self.runs} x {each:,.0f} {self.unit}"


@functools.cache
def costs() -> dict[tuple[str, str], Cost]:
    """Reads {(paper/figure, scale): Cost} of those that were measured."""
    measured = read_json(_COSTS, dict[str, dict[str, list[float]]])
    return {(figure, scale): Cost(*cost) for figure, of in measured.items() for scale, cost in of.items()}


def write_costs(done: Mapping[str, "FigureRecord"], scale: Scale, path: Path = _COSTS) -> None:
    """Writes what figures took at a scale: {paper/figure: record}."""
    measured = read_json(path, dict[str, dict[str, list[float]]])
    for name, record in done.items():
        measured.setdefault(name, {})[scale] = [round(record.minutes, 1), round(record.megabytes)]
    text = ",\n".join(f"  {json.dumps(name)}: {json.dumps(of)}" for name, of in sorted(measured.items()))
    with replacing(path) as temporary:
        temporary.write_text(f"{{\n{text}\n}}\n")


def listing(papers: Iterable[Paper]) -> str:
    """Formats papers, their figures, and how many claims each has."""
    rows = [("paper", "figure", "claims", "laptop", "")]
    for paper in papers:
        for figure in paper.figures:
            cost = costs().get((f"{paper.name}/{figure.name}", Scale.LAPTOP))
            laptop = f"{cost.minutes:.1f} min" if cost else "-"
            rows.append((paper.name, figure.name, str(len(figure.claims)), laptop, figure.title))
    names = aligned([row[:4] for row in rows]).splitlines()
    return "\n".join(f"{line}  {row[4]}" for line, row in zip(names, rows, strict=True))


def length(training: Training, scale: Scale, settings: dict) -> Length:
    """Returns how much a training is at a scale.

    Args:
      settings: the fields that all its runs set.
    """
    config = load_file(catalogue.CONFIGS / f"{training.config}.py")
    runs, total, unit = training.runs(scale), 0.0, "steps"
    for run in runs:
        chosen = {"num_steps": config.num_steps, "num_epochs": config.num_epochs, **settings, **run}
        unit = "epochs" if chosen["num_epochs"] else "steps"
        total += chosen[f"num_{unit}"]
    return Length(len(runs), total, unit)


def estimate(figure: Figure, name: str, scale: Scale) -> Cost | None:
    """Returns what a figure takes at a scale: the laptop's cost times how much more is trained.

    None where it was not measured at the laptop's scale, or lengths have other units there.
    """
    known = costs().get((name, Scale.LAPTOP))
    if known is None:
        return None
    here, there = (_lengths(figure, s) for s in (scale, Scale.LAPTOP))
    units = [{name: x.unit for name, x in lengths.items()} for lengths in (here, there)]
    if units[0] != units[1]:
        return None
    more = sum(x.total for x in here.values()) / sum(x.total for x in there.values())
    runs = sum(x.runs for x in here.values()) / sum(x.runs for x in there.values())
    return Cost(known.minutes * more, known.megabytes * runs)


def _lengths(figure: Figure, scale: Scale) -> dict[str, Length]:
    """Returns {training: Length} of those that are run at a scale."""
    from analysis.reproduce.work import settings  # with the sweep program

    return {
        name: length(training, scale, settings(training, scale))
        for name, training in figure.trainings.items()
        if training.runs(scale)
    }


def plan(chosen: Sequence[tuple[Paper, Figure]], scale: Scale) -> str:
    """Formats what is run of each figure, and what that takes on two cores.

    Minutes and MB were measured; those after a `~` are estimated from the laptop's scale by the number of
    steps.
    """
    rows = [("figure", "minutes", "MB", "runs", "config")]
    measured, estimated, unknown = [], [], 0
    for paper, figure in chosen:
        name = f"{paper.name}/{figure.name}"
        if not figure.is_run(scale):
            rows.append((name, "-", "-", "", "not run at this scale"))
            continue
        cost = costs().get((name, scale if figure.trainings else Scale.LAPTOP))  # theory is the same
        sign = ""
        if cost:
            measured.append(cost)
        elif cost := estimate(figure, name, scale):
            estimated.append(cost)
            sign = "~"
        else:
            unknown += 1
        takes = (f"{sign}{cost.minutes:,.1f}", f"{sign}{cost.megabytes:,.0f}") if cost else ("?", "?")
        lengths = _lengths(figure, scale)
        runs = " + ".join(map(str, lengths.values())) if lengths else "theory"
        configs = dict.fromkeys(figure.trainings[training].config for training in lengths)
        rows.append((name, *takes, runs, ", ".join(configs)))
    return f"{aligned(rows)}\n{_total(measured, estimated, unknown)}"


def _total(measured: Sequence[Cost], estimated: Sequence[Cost], unknown: int) -> str:
    """Formats what all figures of a plan take."""
    costs = [*measured, *estimated]
    hours, disk = sum(c.minutes for c in costs) / 60, sum(c.megabytes for c in costs) / 1e3
    words = f"{hours:,.1f} hours on two CPU cores, and {disk:.1f} GB; what is done is not done again"
    if estimated:
        words += "; ~ by the number of steps, from the laptop's scale"
    if unknown:
        words += f"; {unknown} figures were not measured at any scale: ?"
    return words
