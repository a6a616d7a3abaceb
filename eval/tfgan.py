"""TF-GAN's evaluation functions, on a TensorFlow that the whole of TF-GAN does not import on.

tensorflow_gan/__init__.py imports its estimators, and tf.estimator is gone since TensorFlow 2.16
(github.com/tensorflow/gan, issues 55 and 59). The evaluation package needs none of that: bare modules in
place of its two parent packages let it be imported alone.
"""

import functools
import importlib.util
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from eval.distances import Gaussian
from lib.tensorflow import tensorflow


@functools.cache
def tfgan_eval() -> Any:
    """Returns the module tensorflow_gan.python.eval, after importing TensorFlow."""
    tensorflow()
    root = Path(importlib.util.find_spec("tensorflow_gan").submodule_search_locations[0])
    for name, folder in (("tensorflow_gan", root), ("tensorflow_gan.python", root / "python")):
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tensorflow-hub's use of pkg_resources
        from tensorflow_gan.python import eval as module
    return module


def classifier_score(logits: np.ndarray) -> float:
    """Returns `eval.distances.classifier_score`, in float32."""
    return float(tfgan_eval().classifier_score_from_logits(logits))


def frechet_distance(a: Gaussian, b: Gaussian, root_a: np.ndarray | None = None) -> float:
    """Returns `eval.distances.frechet_distance`, in float64; it has no use for a root that is known."""
    root = tfgan_eval().classifier_metrics.trace_sqrt_product(a.covariance, b.covariance)
    traces = np.trace(a.covariance) + np.trace(b.covariance)
    return float(np.sum((a.mean - b.mean) ** 2) + traces - 2 * root)


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Returns `eval.distances.kernel_distance`, in float32."""
    distance = tfgan_eval().kernel_classifier_distance_from_activations
    return float(distance(*(tensorflow().constant(x, "float32") for x in (a, b))))
