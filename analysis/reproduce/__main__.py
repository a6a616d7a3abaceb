"""Reproduces published results: `./run.sh reproduce PAPER`. It goes on where it was stopped."""

import sys
from pathlib import Path

from absl import flags

from analysis.reproduce.paper import Figure, Paper, Scale
from analysis.reproduce.papers import PAPERS, load
from analysis.reproduce.plan import listing, plan
from experiments import catalogue
from lib.command_line import parse, words_and_flags
from lib.errors import ConfigError, lookup, one_line_errors

_USAGE = """Reproduces published results, with the papers' claims beside ours.

  ./run.sh reproduce                                      papers and their figures
  ./run.sh reproduce PAPER [--figure=NAME] [--scale=smoke|laptop|paper] [--jobs=N]
  ./run.sh reproduce all, ./run.sh reproduce --scale=laptop   every paper
  ./run.sh reproduce PAPER|all --dry_run                  what it would run, and what that takes
  ./run.sh reproduce --docs                               write what came out into docs/ and README.md

The same command goes on where it was stopped. The page is OUT/index.html, and index.md beside it.
"""
ALL = "all"


def _define(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    flags.DEFINE_string("figure", None, "One of the paper's figures.", flag_values=values)
    scales = [str(scale) for scale in Scale]
    flags.DEFINE_enum("scale", "laptop", scales, "How much is run.", flag_values=values)
    flags.DEFINE_integer("jobs", 1, "Processes at a time.", lower_bound=1, flag_values=values)
    flags.DEFINE_bool("dry_run", False, "Print what would be run.", flag_values=values)
    text = "Write what came out so far into docs/ and README.md of this tree, and run nothing."
    flags.DEFINE_bool("docs", False, text, flag_values=values)
    flags.DEFINE_string("out", "reproductions", "The folder of runs and page.", flag_values=values)


def _chosen(name: str, figure: str | None) -> list[tuple[Paper, Figure]]:
    """Returns the figures that a command line names.

    Raises:
      ConfigError: an unknown paper or figure.
    """
    names = PAPERS if name == ALL else (lookup({p: p for p in PAPERS}, name, "reproduce"),)
    everything = [(paper, f) for paper in map(load, names) for f in paper.figures]
    if figure is None:
        return everything
    if name == ALL:
        raise ConfigError("name the paper that has it", "--figure")
    return [(everything[0][0], lookup({f.name: f for _, f in everything}, figure, "--figure"))]


def main(argv: list[str]) -> int:
    """Does what a command line says; returns 0 if all was run, 1 if something could not be."""
    with one_line_errors():
        words, others = words_and_flags(argv)
        values, overrides = parse(others, _define, _USAGE)
        if overrides:
            raise ConfigError("settings are those of the papers' files; leave it out", overrides[0])
        scale, out = Scale(values.scale), Path(values.out).absolute()
        if values.docs:
            flagged = [f"--{x}" for x in ("figure", "dry_run", "jobs") if values[x].present]
            if given := words + flagged:
                raise ConfigError(f"it writes what came out of all; leave '{given[0]}' out", "--docs")
            from analysis.reproduce import docs, page  # pictures are read where there are some

            docs.write(page.read(out, scale), scale, catalogue.ROOT)
            return 0
        if not argv:
            print(listing(map(load, PAPERS)))
            return 0
        if not words and not values["scale"].present:
            raise ConfigError(f"name a paper, or '{ALL}'", "reproduce")
        if len(words) > 1:
            raise ConfigError(f"'{words[1]}': name one paper, or '{ALL}'", "reproduce")
        chosen = _chosen(words[0] if words else ALL, values.figure)
        print(plan(chosen, scale))
        if values.dry_run:
            return 0
        from analysis.reproduce import reproduce  # what computes is imported when there is something to do

        return reproduce.run(chosen, scale, out, values.jobs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
