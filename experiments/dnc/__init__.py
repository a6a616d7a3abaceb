"""A differentiable neural computer that learns to repeat what it has seen."""

from experiments.dnc.config import DncConfig
from experiments.dnc.experiment import build

__all__ = ["DncConfig", "build"]
