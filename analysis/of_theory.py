"""Pictures of theory: what small games and losses do, computed when they are drawn."""

import math
from pathlib import Path

from absl import flags

from analysis.command import parsed, save
from lib.command_line import parse
from lib.config import apply_overrides, load_file
from lib.errors import ConfigError

_LOCAL_ERROR_USAGE = """Draws how far one update of a game is from its flow and its modified flows, against the rate.

  ./run.sh plot local_error [--ratio=0.4] [--out=FILE]
"""
_MOMENTUM_USAGE = """Draws what momentum does to a toy game: spectral radii, eigenvalues, phase portraits; prints a table.

  ./run.sh plot momentum [--config=FILE] [--config.FIELD=VALUE ...] [--rate=0.3] [--out=FILE]
"""
_PRINCIPAL_FLOW_USAGE = """Draws, and prints, how near gradient flow, IGR and the principal flow are to gradient descent.

  ./run.sh plot principal_flow [--out=FILE]
"""


def local_error(argv: list[str]) -> None:
    """Draws local errors of updates against flows on both clocks.

    Raises:
      ConfigError: unknown flags, or a ratio that is not positive.
    """

    def define(values: flags.FlagValues) -> None:
        flags.DEFINE_float("ratio", 0.4, "Generator's rate over discriminator's.", flag_values=values)
        flags.DEFINE_string("out", "local_error.png", "The file.", flag_values=values)

    values = parsed(argv, define, _LOCAL_ERROR_USAGE, "plot local_error")
    if not 0 < values.ratio < math.inf:
        raise ConfigError(f"--ratio: {values.ratio:g} is no ratio of learning rates; use one above 0")
    from analysis import local_error as drawn

    save(drawn.picture(values.ratio), Path(values.out))


def momentum(argv: list[str]) -> None:
    """Draws spectral radii, eigenvalues and phase portraits of a game against momentum, and prints a table.

    Raises:
      ConfigError: unknown flags, a config of another experiment, or a rate that is not positive.
    """

    def define(values: flags.FlagValues) -> None:
        flags.DEFINE_string("config", None, "A toy game's; default: bilinear.", flag_values=values)
        flags.DEFINE_float("rate", 0.3, "Learning rate of all players.", flag_values=values)
        flags.DEFINE_string("out", "momentum.png", "The file.", flag_values=values)

    values, overrides = parse(argv, define, _MOMENTUM_USAGE)
    if not 0 < values.rate < math.inf:
        raise ConfigError(f"--rate: {values.rate:g} is no learning rate; use one above 0")
    from analysis import momentum as drawn
    from experiments import catalogue, registry

    file = values.config or catalogue.CONFIGS / "games/bilinear.py"
    config = registry.validated(apply_overrides(load_file(file), overrides))
    if config.experiment != "games":
        raise ConfigError(f"--config: '{file}' is no toy game; use one of configs/games")
    found = drawn.analyse(config.games, values.rate)
    print(drawn.table(found))
    save(drawn.picture(config.games, values.rate, found), Path(values.out))


def principal_flow(argv: list[str]) -> None:
    """Draws gradient descent on small losses against the flows that model it, and prints their distances.

    Raises:
      ConfigError: unknown flags.
    """

    def define(values: flags.FlagValues) -> None:
        flags.DEFINE_string("out", "principal_flow.png", "The file.", flag_values=values)

    values = parsed(argv, define, _PRINCIPAL_FLOW_USAGE, "plot principal_flow")
    from analysis import principal_flow as drawn

    print(drawn.table())
    save(drawn.picture(), Path(values.out))
