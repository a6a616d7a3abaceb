"""Scoring networks that are TensorFlow SavedModels: TF-GAN's Inception, or any other."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from eval.networks.inception import checksum, find_module, instead
from eval.networks.network import (
    INCEPTION_NAMES,
    Array,
    Network,
    UnloadedNetwork,
    as_rgb,
    check_channels,
    score_names,
)
from eval.tfgan import tfgan_eval
from lib.data import Dataset
from lib.errors import ConfigError
from lib.schema import Run
from lib.tensorflow import tensorflow

_FEATURES = ("pool_3", "features")  # names that a module may give its features
_BATCH = 64  # Inception takes some 12 MB for an image, whatever the samples' batches
_PATH = "config.eval.network_path"


def inception(config: Run, data: Dataset) -> UnloadedNetwork:
    """Loads TF-GAN's Inception module as TF-GAN does; from where `eval.networks.inception` takes it.

    Raises:
      ConfigError: the module does not fit.
    """
    if (path := find_module(config.eval.network_path)) is None:
        return instead(config, data)
    size = tfgan_eval().INCEPTION_DEFAULT_IMAGE_SIZE
    return _network("inception", path, (size, size, 3), data, INCEPTION_NAMES)


def saved_model(config: Run, data: Dataset) -> UnloadedNetwork:
    """Loads any SavedModel with outputs `logits`, and `pool_3` or `features`, for images in [-1, 1].

    Raises:
      ConfigError: no path, or the model does not fit.
    """
    if not config.eval.network_path:
        raise ConfigError("'saved_model' needs the SavedModel's folder here", _PATH)
    path = Path(config.eval.network_path).resolve()  # its name is that of the scores
    return _network(path.name, path, None, data, score_names(path.name))


def _network(
    name: str, path: Path, takes: tuple[int, int, int] | None, data: Dataset, names: dict[str, str]
) -> UnloadedNetwork:
    """Makes a network of a SavedModel, after running it on two images.

    Args:
      name: of the network.
      path: of the SavedModel's folder.
      takes: the shape of its images; None: of the size that its signature says, in the data's colours.
      data: what will be scored.
      names: of its scores.
    """
    tf = tensorflow()
    module, signature = _load(path)
    size = takes[0] if takes else _input_size(signature, data)
    resizes = data.image_shape[:2] != (size, size)
    grey = check_channels(data, name) if takes else ""

    @tf.function
    def run(images):
        call = module if callable(module) else signature  # which needs the module, and does not keep it
        outputs = call(tf.image.resize(images, (size, size), "bilinear") if resizes else images)
        return {key: tf.reshape(value, (tf.shape(value)[0], -1)) for key, value in outputs.items()}

    shape = (*data.image_shape[:2], takes[2]) if takes else data.image_shape
    features, num_features = _features_name(run, shape, path)

    def apply(images: Array) -> tuple[np.ndarray, np.ndarray]:
        images = np.asarray(as_rgb(images) if grey else images)
        starts = range(0, len(images), _BATCH)
        parts = [run(tf.constant(images[i : i + _BATCH], tf.float32)) for i in starts]
        return tuple(np.concatenate([p[name].numpy() for p in parts]) for name in ("logits", features))

    resize = (f"bilinear to {size}x{size}" if resizes else "none") + grey
    # Inception's features by JAX and by TensorFlow are not to be taken for one another.
    weights = checksum(path) + "-tensorflow" * bool(takes)
    network = Network(name, weights, resize, apply, names)
    return UnloadedNetwork(names, num_features, lambda: network)


def _load(path: Path) -> tuple[Any, Any]:
    """Loads a SavedModel: the module and its default signature or None, one of which is callable."""
    if not (path / "saved_model.pb").is_file():
        raise ConfigError(f"no saved_model.pb in '{path}': not a SavedModel's folder", _PATH)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = tensorflow().saved_model.load(str(path))
    except Exception as error:  # TensorFlow has a class for every kind of damage
        raise ConfigError(f"cannot load '{path}': {_first_line(error)}", _PATH) from error
    signature = module.signatures.get("serving_default")
    if not callable(module) and signature is None:
        raise ConfigError(f"'{path}' has no signature serving_default", _PATH)
    return module, signature


def _features_name(run: Callable, shape: tuple[int, ...], path: Path) -> tuple[str, int]:
    """Returns (name, number) of the features among a module's outputs for images of a shape."""
    try:
        outputs = run(np.zeros((2, *shape), np.float32))
    except Exception as error:  # a module may refuse its input in any way
        refusal = f"'{path}' refuses images of shape {shape}: {_first_line(error)}"
        raise ConfigError(refusal, _PATH) from error
    features = [name for name in _FEATURES if name in outputs]
    if "logits" not in outputs or not features:
        given = ", ".join(sorted(outputs))
        needed = "'logits' and 'pool_3' or 'features'"
        raise ConfigError(f"'{path}' must give {needed}; it gives {given}", _PATH)
    return features[0], outputs[features[0]].shape[1]


def _input_size(signature: Any, data: Dataset) -> int:
    """Returns the height of the images that a module takes.

    Where it takes any, or does not say, that is the data's own.
    """
    inputs = signature.structured_input_signature[1].values() if signature else ()
    heights = [spec.shape[1] for spec in inputs if spec.shape.rank == 4]
    return heights[0] if heights and heights[0] else data.image_shape[0]


def _first_line(error: Exception) -> str:
    """Returns the first line of an exception's type and text, cut."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
