"""What a paper's file declares: figures, the runs that they need, and the claims that are checked."""

import dataclasses
import enum
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lib import sweeps
from lib.sweeps import Overrides, Sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

    from analysis.reproduce.results import Results

Label = Hashable  # of a method: a text, or a tuple of what it varies


class Scale(enum.StrEnum):
    """How much is run: smoke (a few steps of each kind), laptop (two cores), paper (published settings)."""

    SMOKE = "smoke"
    LAPTOP = "laptop"
    PAPER = "paper"


def seeds(laptop: int, paper: int = 5) -> dict[Scale, int]:
    """Returns how many seeds a training has at each scale: one in a smoke run."""
    return {Scale.SMOKE: 1, Scale.LAPTOP: laptop, Scale.PAPER: paper}


class Finding(NamedTuple):
    """What came out for a claim.

    Attributes:
      ours: the numbers, as text.
      holds: whether the claim does.
    """

    ours: str
    holds: bool


class Claim(NamedTuple):
    """A statement of a paper that a figure's results can contradict.

    Attributes:
      name: short, of its own within the figure.
      paper: the paper's statement or number.
      check: `(results) -> Finding`.
      scales: at which it is meant; at others it is not run. (A smoke run evaluates all that it can.)
    """

    name: str
    paper: str
    check: Callable[["Results"], Finding]
    scales: Sequence[Scale] = (Scale.LAPTOP, Scale.PAPER)


@dataclasses.dataclass(frozen=True)
class Training:
    """Runs of one config: methods x seeds.

    Attributes:
      config: of configs/, without its ending.
      methods: {label: overrides of the config's fields}.
      seeds: {scale: how many}; at a scale that it does not name nothing is run.
      fewer: {label: how many} of methods that have fewer at the laptop's scale.
      settings: {scale: overrides of all runs}.
      evaluate: whether each run's last checkpoint is scored; not in a smoke run.
    """

    config: str
    methods: Mapping[Label, Overrides]
    seeds: Mapping[Scale, int]
    fewer: Mapping[Label, int] = dataclasses.field(default_factory=dict)
    settings: Mapping[Scale, Overrides] = dataclasses.field(default_factory=dict)
    evaluate: bool = False

    def labels(self, scale: Scale) -> list[Label]:
        """Returns the labels of the methods that are run at a scale.

        In a smoke run it is the last one, which stands for all others in what claims and pictures read.
        """
        return list(self.methods)[-1 if scale == Scale.SMOKE else 0 :]

    def runs(self, scale: Scale) -> Sweep:
        """Returns the runs at a scale, a method's seeds one after the other."""
        return [
            run
            for label in self.labels(scale)
            for run in sweeps.product([self.methods[label]], sweeps.seeds(self.count(label, scale)))
        ]

    def describe_seeds(self, scale: Scale) -> str:
        """Returns how many seeds the methods have at a scale, in words: `5 seeds (2 of SGA, consensus)`."""
        most = self.seeds.get(scale, 0)
        words = f"{most} seed{'s' if most != 1 else ''}"
        exceptions: dict[int, list[str]] = {}
        for label in self.fewer:
            if (n := self.count(label, scale)) != most:
                exceptions.setdefault(n, []).append(str(label))
        others = "; ".join(f"{n} of {', '.join(labels)}" for n, labels in exceptions.items())
        return f"{words} ({others})" if others else words

    def count(self, label: Label, scale: Scale) -> int:
        """Returns how many seeds a method has at a scale."""
        seeds = self.seeds.get(scale, 0)
        return self.fewer.get(label, seeds) if scale == Scale.LAPTOP else seeds


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure or table of a paper.

    Attributes:
      name: in command lines and folders.
      title: what it shows.
      claims: what is checked of it.
      trainings: {name: the runs that it needs}.
      compute: `(results) -> anything`, of theory or of the runs, that claims, picture and table share as
        `results.computed`; None: nothing.
      draw: `(results) -> picture`; None: there is none.
      table: `(results) -> rows of texts`, the first one their heads; None: there is none.
      notes: differences from the paper, and what was tried where a claim fails.
    """

    name: str
    title: str
    claims: Sequence[Claim]
    trainings: Mapping[str, Training] = dataclasses.field(default_factory=dict)
    compute: Callable[["Results"], Any] | None = None
    draw: Callable[["Results"], "Picture"] | None = None
    table: Callable[["Results"], list[tuple[str, ...]]] | None = None
    notes: str = ""

    def is_run(self, scale: Scale) -> bool:
        """Tells whether there is anything to do at a scale: theory, or runs."""
        return not self.trainings or any(t.runs(scale) for t in self.trainings.values())


@dataclasses.dataclass(frozen=True)
class Paper:
    """A paper, or several of one line of work.

    Attributes:
      name: in command lines and folders.
      title: of the page's section.
      source: authors, title, venue.
      docs: the page in docs/ that has more.
      figures: what is reproduced.
    """

    name: str
    title: str
    source: str
    docs: str
    figures: Sequence[Figure]
