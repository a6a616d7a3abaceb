"""Two views of the same rows, as a generalised eigenvalue problem and a game of k players."""

from experiments.cca.config import CcaConfig
from experiments.cca.experiment import build

__all__ = ["CcaConfig", "build"]
