"""The config of a toy game that a picture's command line names."""

from collections.abc import Sequence

from experiments import catalogue, registry
from experiments.games.config import GamesSection
from lib.config import apply_overrides, load_file
from lib.errors import ConfigError


def load_toy(file: str | None, overrides: Sequence[str]) -> GamesSection:
    """Returns the section of a config file of a toy game, by default the bilinear one.

    Args:
      overrides: `--config.a.b=value`.

    Raises:
      ConfigError: the config is invalid, or of another experiment.
    """
    file = file or catalogue.CONFIGS / "games/bilinear.py"
    config = registry.validated(apply_overrides(load_file(file), overrides))
    if config.experiment != "games":
        raise ConfigError(f"'{file}' is no toy game; use one of configs/games", "--config")
    return config.games
