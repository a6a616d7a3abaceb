"""Methods of configs/play.py as overrides of a config: what a run of a sweep has to set for them."""

from collections.abc import Callable

from ml_collections import ConfigDict

from experiments import catalogue
from lib.config import load_file
from lib.sweeps import Overrides


def changed(config: str, change: Callable[[ConfigDict], None]) -> Overrides:
    """Returns the fields that a change of a config sets, with their values.

    Args:
      config: of configs/, without its ending.
      change: of its section, the one that is named like the experiment.
    """
    before = load_file(catalogue.CONFIGS / f"{config}.py")
    after = ConfigDict(before.to_dict())
    change(after[after.experiment])
    known = dict(_leaves(before.to_dict()))
    return {
        field: value
        for field, value in _leaves(after.to_dict())
        if field not in known or known[field] != value
    }


def _leaves(values: dict, place: str = ""):
    """Yields (field, value) of nested dicts."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{place}{name}.")
        else:
            yield f"{place}{name}", value
