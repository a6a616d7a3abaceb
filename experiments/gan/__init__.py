"""Generative adversarial networks as two-player games."""

from experiments.gan.config import GanConfig
from experiments.gan.experiment import build

__all__ = ["GanConfig", "build"]
