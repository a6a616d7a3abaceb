"""Batches of a sweep's runs: those that one process trains, the runs of a group by one program."""

import dataclasses
import math
from collections.abc import Sequence

from experiments.sweep import structure
from experiments.sweep.plan import Planned

_PARTS_OF_EACH = 2  # of several processes: whoever is done early takes another part


@dataclasses.dataclass(frozen=True)
class Batch:
    """Runs that one process trains, or one run alone."""

    runs: Sequence[Planned]

    @property
    def name(self) -> str:
        """Returns the name of its first run."""
        return self.runs[0].name


def by_structure(runs: Sequence[Planned]) -> list[Batch]:
    """Returns the groups of runs, each for a process of its own: on a cluster, a job."""
    numbers = structure.group_numbers([run.structure for run in runs])
    return [
        Batch([run for run, n in zip(runs, numbers, strict=True) if n == number])
        for number in dict.fromkeys(numbers)
    ]


def in_parts(runs: Sequence[Planned], jobs: int) -> list[Batch]:
    """Returns parts of the runs for `jobs` processes here; runs of a group are together, or in few parts.

    A process trains one group after another: it starts, and loads the data, once.
    """
    ordered = [run for group in by_structure(runs) for run in group.runs]
    parts = 1 if jobs == 1 else _PARTS_OF_EACH * jobs
    size = math.ceil(len(ordered) / parts) or 1
    return [Batch(ordered[i : i + size]) for i in range(0, len(ordered), size)]
