"""Scoring networks that are TensorFlow SavedModels: TF-GAN's Inception, or any other."""

import hashlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from eval.networks.network import INCEPTION_NAMES, Network, UnloadedNetwork, score_names
from eval.tfgan import tfgan_eval
from lib.data import Dataset
from lib.errors import ConfigError
from lib.schema import Run
from lib.tensorflow import tensorflow

_FEATURES = ("pool_3", "features")  # names that a module may give its features
_BATCH = 64  # Inception takes some 12 MB for an image, whatever the samples' batches
_NETWORK, _PATH = "config.eval.network", "config.eval.network_path"


def inception(config: Run, data: Dataset) -> UnloadedNetwork:
    """Loads TF-GAN's Inception module: from `config.eval.network_path`, TFHUB_CACHE_DIR, or the network.

    The path is the module's own folder, or a TF-Hub cache that has it.

    Raises:
      ConfigError: the module is not to be had, or the images are grey.
    """
    if data.image_shape[2] != 3:
        raise ConfigError(
            "'inception' takes colour images, and those of "
            f"'{config.dataset.name}' are grey; use 'checkpoint'",
            _NETWORK,
        )
    handle = tfgan_eval().INCEPTION_TFHUB
    path = Path(config.eval.network_path or _from_hub(handle))
    in_cache = path / hashlib.sha1(handle.encode()).hexdigest()  # TF-Hub's name for it
    size = tfgan_eval().INCEPTION_DEFAULT_IMAGE_SIZE
    network = _network("inception", in_cache if in_cache.is_dir() else path, size, data, INCEPTION_NAMES)
    return UnloadedNetwork(network.names, lambda: network)


def saved_model(config: Run, data: Dataset) -> UnloadedNetwork:
    """Loads any SavedModel with outputs `logits`, and `pool_3` or `features`, for images in [-1, 1].

    Raises:
      ConfigError: no path, or the model does not fit.
    """
    if not config.eval.network_path:
        raise ConfigError("'saved_model' needs the SavedModel's folder here", _PATH)
    path = Path(config.eval.network_path).resolve()  # its name is that of the scores
    network = _network(path.name, path, None, data, score_names(path.name))
    return UnloadedNetwork(network.names, lambda: network)


def _from_hub(handle: str) -> str:
    """Returns the folder of a TF-Hub module, in TF-Hub's cache or downloaded to it."""
    import tensorflow_hub as hub

    try:
        return hub.resolve(handle)
    except Exception as error:  # no network: urllib, OSError, TensorFlow's own
        fetch = f"python -c \"import tensorflow_hub; print(tensorflow_hub.resolve('{handle}'))\""
        raise ConfigError(
            "Inception is not in TF-Hub's cache and cannot be downloaded; on a machine with network run "
            f"{fetch} and carry that folder over, as {_PATH}; or a whole cache, as TFHUB_CACHE_DIR",
            _NETWORK,
        ) from error


def _network(name: str, path: Path, size: int | None, data: Dataset, names: dict[str, str]) -> Network:
    """Makes a network of a SavedModel.

    Args:
      name: of the network.
      path: of the SavedModel's folder.
      size: height and width of the images that it takes; None: what its signature says.
      data: what will be scored.
      names: of its scores.
    """
    tf = tensorflow()
    module, signature = _load(path)
    size = size or _input_size(signature, data)
    resizes = data.image_shape[:2] != (size, size)

    @tf.function
    def run(images):
        call = module if callable(module) else signature  # which needs the module, and does not keep it
        outputs = call(tf.image.resize(images, (size, size), "bilinear") if resizes else images)
        return {key: tf.reshape(value, (tf.shape(value)[0], -1)) for key, value in outputs.items()}

    features = _features_name(run, data, path)

    def apply(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        starts = range(0, len(images), _BATCH)
        parts = [run(tf.constant(images[i : i + _BATCH], tf.float32)) for i in starts]
        return tuple(np.concatenate([p[name].numpy() for p in parts]) for name in ("logits", features))

    resize = f"bilinear to {size}x{size}" if resizes else "none"
    return Network(name, _checksum(path), resize, apply, names)


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


def _features_name(run: Callable, data: Dataset, path: Path) -> str:
    """Returns the name of the features among a module's outputs; runs the module once, on two images."""
    try:
        names = set(run(np.zeros((2, *data.image_shape), np.float32)))
    except Exception as error:  # a module may refuse its input in any way
        refusal = f"'{path}' refuses images of shape {data.image_shape}: {_first_line(error)}"
        raise ConfigError(refusal, _PATH) from error
    features = [name for name in _FEATURES if name in names]
    if "logits" not in names or not features:
        raise ConfigError(
            f"'{path}' must give 'logits' and 'pool_3' or 'features'; it gives {', '.join(sorted(names))}",
            _PATH,
        )
    return features[0]


def _input_size(signature: Any, data: Dataset) -> int:
    """Returns the height of the images that a module takes.

    Where it takes any, or does not say, that is the data's own.
    """
    inputs = signature.structured_input_signature[1].values() if signature else ()
    heights = [spec.shape[1] for spec in inputs if spec.shape.rank == 4]
    return heights[0] if heights and heights[0] else data.image_shape[0]


def _checksum(path: Path) -> str:
    """Returns a digest of all files of a SavedModel."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(p for p in path.rglob("*") if p.is_file() and p.name != "fingerprint.pb"):
        digest.update(os.fsencode(file.relative_to(path)) + file.read_bytes())
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    """Returns the first line of an exception's type and text, cut."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
