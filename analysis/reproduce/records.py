"""What is kept of a figure that was reproduced: figure.json beside its runs."""

import subprocess
from pathlib import Path

from analysis.reproduce.paper import Scale
from experiments import catalogue
from lib.config import Section
from lib.runtime.json_files import read_json, write_json

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


class FigureRecord(Section):
    """A figure as it came out.

    Attributes:
      paper, figure: their names.
      scale: how much was run.
      command: that makes it again.
      commit: of this tree, with `+` where files were changed; empty where there is no git.
      machine: what it ran on.
      minutes: of all its runs together, those of stopped calls included.
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
    commit: str
    machine: dict[str, str]
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
    """Reads the record of a figure's folder; None where there is none.

    Raises:
      DamagedFile: it cannot be read.
    """
    path = folder / "figure.json"
    return read_json(path, FigureRecord) if path.exists() else None


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
