"""Toy games: where update rules lead from chosen starts, and how fast, beside what theory says."""

from experiments.games.config import GamesConfig
from experiments.games.experiment import build

__all__ = ["GamesConfig", "build"]
