"""Batches of a sweep's runs: those that one process trains, the runs of a group by one program."""

import dataclasses
import math
from collections.abc import Sequence

from experiments.sweep import structure
from experiments.sweep.plan import Planned

_MOST_PARTS_OF_EACH = 3  # of several processes: a process takes seconds to start


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

    A process trains one group after another: it starts, and loads the data, once. Of several processes
    whoever is done early takes another part. Parts become smaller, so that all end at about the same time
    (guided self-scheduling, Polychronopoulos and Kuck, 1987).
    """
    ordered = [run for group in by_structure(runs) for run in group.runs]
    if jobs == 1:
        return [Batch(ordered)]
    least = math.ceil(len(ordered) / (_MOST_PARTS_OF_EACH * jobs))
    parts = []
    while ordered:
        size = max(least, math.ceil(len(ordered) / (2 * jobs)))
        parts.append(Batch(ordered[:size]))
        ordered = ordered[size:]
    return parts
