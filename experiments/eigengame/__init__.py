"""EigenGame: principal component analysis as a game of k players."""

from experiments.eigengame.config import EigenGameConfig
from experiments.eigengame.experiment import build

__all__ = ["EigenGameConfig", "build"]
