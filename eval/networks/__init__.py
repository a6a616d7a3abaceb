"""Scoring networks by name."""

from collections.abc import Callable

from eval.networks.classifier_run import classifier_run
from eval.networks.network import Network, UnloadedNetwork
from eval.networks.tensorflow_modules import inception, saved_model
from lib.data import Dataset
from lib.schema import Run

__all__ = ["NETWORKS", "Network", "UnloadedNetwork"]

# {config.eval.network: (the run's config, what will be scored) -> network}
NETWORKS: dict[str, Callable[[Run, Dataset], UnloadedNetwork]] = {
    "checkpoint": classifier_run,
    "inception": inception,
    "saved_model": saved_model,
}
