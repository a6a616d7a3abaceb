"""Scoring networks by name."""

import functools
from collections.abc import Callable

from eval.networks import imagenet, inception, tensorflow_modules
from eval.networks.classifier_run import classifier_run
from eval.networks.network import Network, UnloadedNetwork
from lib.data import Dataset
from lib.schema import Run

__all__ = ["NETWORKS", "Network", "UnloadedNetwork", "scoring_network"]

# {config.eval.network: (the run's config, what will be scored) -> network}
NETWORKS: dict[str, Callable[[Run, Dataset], UnloadedNetwork]] = {
    "alexnet": functools.partial(imagenet.imagenet, "alexnet"),
    "checkpoint": classifier_run,
    "inception": inception.inception,
    "saved_model": tensorflow_modules.saved_model,
    "vgg16": functools.partial(imagenet.imagenet, "vgg16"),
}


def scoring_network(config: Run, data: Dataset, with_tfgan: bool = False) -> UnloadedNetwork:
    """Finds the network that a config names, with the scores that its reference allows.

    Args:
      config: of the run that is evaluated.
      data: what will be scored.
      with_tfgan: whether Inception runs by TensorFlow.

    Raises:
      ConfigError: the network is not to be had, or does not fit the images.
    """
    find = NETWORKS[config.eval.network]
    if with_tfgan and find is inception.inception:
        find = tensorflow_modules.inception
    found = find(config, data)
    return found.of_moments() if config.eval.reference_statistics else found
