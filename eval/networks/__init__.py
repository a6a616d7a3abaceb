"""Networks that score, by name."""

from collections.abc import Callable

from eval.networks.network import Network
from eval.networks.tensorflow_modules import inception, saved_model
from eval.networks.trained import trained_classifier
from lib.data import Dataset
from lib.schema import Run

__all__ = ["NETWORKS", "Network"]

# {config.eval.network: (the run's config, what will be scored) -> Network}
NETWORKS: dict[str, Callable[[Run, Dataset], Network]] = {
    "checkpoint": trained_classifier,
    "inception": inception,
    "saved_model": saved_model,
}
