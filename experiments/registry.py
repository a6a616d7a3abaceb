"""Experiments by name."""

from collections.abc import Callable
from typing import NamedTuple

from experiments import cca, classifier, eigengame, games, gan
from lib.config import ConfigError, lookup, validate
from lib.data import DataSpec
from lib.experiment import Experiment
from lib.schema import Run


class Entry(NamedTuple):
    """An experiment's config class, and what builds it."""

    config: type[Run]
    build: Callable[[Run, DataSpec], Experiment]


EXPERIMENTS = {
    "cca": Entry(cca.CcaConfig, cca.build),
    "classifier": Entry(classifier.ClassifierConfig, classifier.build),
    "eigengame": Entry(eigengame.EigenGameConfig, eigengame.build),
    "games": Entry(games.GamesConfig, games.build),
    "gan": Entry(gan.GanConfig, gan.build),
}


def validated(config) -> Run:
    """The typed form of a config of any experiment.

    Raises:
      ConfigError: see lib.config.validate; also for an unknown experiment.
    """
    name = config.get("experiment")
    if not isinstance(name, str):
        raise ConfigError("config.experiment: missing; known: " + ", ".join(EXPERIMENTS))
    return validate(lookup(EXPERIMENTS, name, "config.experiment").config, config)


def build(config: Run, spec: DataSpec) -> Experiment:
    """Builds the experiment that a validated config names."""
    return EXPERIMENTS[config.experiment].build(config, spec)
