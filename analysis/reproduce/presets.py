"""Methods as overrides of a config: those of configs/play.py, and of configs/sweeps."""

from collections.abc import Callable

from ml_collections import ConfigDict

from experiments import catalogue
from lib import sweeps
from lib.config import load_file
from lib.sweeps import Overrides

# Of smoke runs: a GAN of points instead of images, and data that are built in.
POINTS: Overrides = {
    "dataset.name": "ring8",
    "batch_size": 8,
    "gan.nets.name": "mlp",
    "gan.nets.kwargs": "{'num_layers': 1, 'num_units': 4}",
    "gan.num_latents": 2,
}
DIGITS: Overrides = {
    "dataset.name": "digits",
    "dataset.train_split": "train[:256]",
    "dataset.eval_split": "test[:100]",
    "batch_size": 32,
}


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


def of_sweep(name: str) -> dict[int, Overrides]:
    """Returns {number: overrides} of the runs of configs/sweeps/<name>.py."""
    return dict(enumerate(sweeps.load(catalogue.CONFIGS / f"sweeps/{name}.py")))


def _leaves(values: dict, place: str = ""):
    """Yields (field, value) of nested dicts."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{place}{name}.")
        else:
            yield f"{place}{name}", value
