"""What is kept of a figure that was reproduced: figure.json beside its runs."""

import datetime
import subprocess
from pathlib import Path
from typing import TypeVar

import jax

from analysis.reproduce.paper import Scale
from experiments import catalogue
from lib.config import Section
from lib.runtime.devices import machine
from lib.runtime.json_files import DamagedFile, read_json, write_json

T = TypeVar("T")
HOLDS, FAILS, NOT_RUN = "holds", "fails", "not run"


class CheckedClaim(Section):
    """A claim, what came out, and the verdict.

    Attributes:
      name, paper: as of `Claim`.
      ours: the numbers, or why it was not run.
      verdict: HOLDS, FAILS or NOT_RUN.
    """

    name: str
    paper: str
    ours: str
    verdict: str


class Made(Section):
    """Where, when and from what the runs of a figure were made: made.json beside them.

    Attributes:
      commits: of this tree, those of stopped calls included, each with `+` where files were changed; none
        where there is no git.
      machine: what the last call ran on.
      date: of the last call, YYYY-MM-DD.
      seconds: of all calls.
    """

    commits: list[str]
    machine: dict[str, str]
    date: str
    seconds: float


class FigureRecord(Section):
    """A figure as it came out.

    Attributes:
      paper, figure: their names.
      scale: how much was run.
      command: that makes it again.
      made: how its runs were made, or theory where it has none.
      checked: the commit at which the claims were checked.
      minutes: of all its runs together, those of stopped calls included, and of what is computed of them.
      megabytes: on disk.
      claims: all of the figure's.
      table: rows of texts, the first one their heads.
      has_picture: whether figure.png lies beside.
      problem: why runs are missing; empty where none are.
    """

    paper: str
    figure: str
    scale: str
    command: str
    made: Made
    checked: str
    minutes: float
    megabytes: float
    claims: list[CheckedClaim]
    table: list[list[str]]
    has_picture: bool
    problem: str


def folder_of(out: Path, scale: Scale, paper: str, figure: str) -> Path:
    """Returns the folder of a figure at a scale."""
    return out / scale / paper / figure


def write(record: FigureRecord, folder: Path) -> None:
    """Writes a record into a figure's folder."""
    write_json(folder / "figure.json", record.model_dump())


def read(folder: Path) -> FigureRecord | None:
    """Reads the record of a figure's folder; None where there is none, or it is damaged."""
    return _read(folder / "figure.json", FigureRecord)


def _read(path: Path, kind: type[T]) -> T | None:
    """Reads a file, which the next call writes anew where it is damaged."""
    try:
        return read_json(path, kind)
    except FileNotFoundError:
        return None
    except DamagedFile as error:
        print(f"note: {error}; it is left out")
        return None


def now() -> Made:
    """Returns what is made here and now, before it is."""
    return Made(
        commits=[c for c in (commit(),) if c],
        machine=machine(jax.local_devices()),
        date=datetime.date.today().isoformat(),
        seconds=0.0,
    )


def added(before: Made | None, here: Made, seconds: float) -> Made:
    """Returns what was made before together with what a call has made in some seconds."""
    if before is None:
        return here.model_copy(update={"seconds": seconds})
    commits = list(dict.fromkeys([*before.commits, *here.commits]))
    return here.model_copy(update={"commits": commits, "seconds": before.seconds + seconds})


def write_made(made: Made, folder: Path) -> None:
    """Writes how the runs of a figure's folder were made."""
    write_json(folder / "made.json", made.model_dump())


def read_made(folder: Path) -> Made | None:
    """Reads how the runs of a figure's folder were made; None where there are none, or it is damaged."""
    return _read(folder / "made.json", Made)


def commit() -> str:
    """Returns the commit of this tree, with `+` where tracked files were changed; empty without git."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(catalogue.ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
