"""Image classifiers: games of one player."""

from experiments.classifier.config import ClassifierConfig
from experiments.classifier.experiment import build

__all__ = ["ClassifierConfig", "build"]
