"""TF-GAN's Inception as a scoring network in JAX, on any device: only its scores are IS, FID and KID.

The file is that of TF-Hub's module, which is never fetched here. `tensorflow_modules.inception` runs the
same file by TensorFlow.
"""

import functools
import hashlib
import os
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np

from eval.networks.batches import in_batches
from eval.networks.imagenet import imagenet
from eval.networks.network import INCEPTION_NAMES, Network, UnloadedNetwork, as_rgb, check_channels
from eval.networks.saved_model_file import SavedModel, read_saved_model
from lib.data import Dataset
from lib.errors import ConfigError, one_line
from lib.schema import Run

ADDRESS = "https://tfhub.dev/tensorflow/tfgan/eval/inception/1"  # TF-GAN's INCEPTION_TFHUB
SIZE = 299  # height and width of the images that it takes, TF-GAN's INCEPTION_DEFAULT_IMAGE_SIZE
_BATCH = 64  # Inception takes some 12 MB for an image, whatever the samples' batches
_PATH = "config.eval.network_path"


def inception(config: Run, data: Dataset) -> UnloadedNetwork:
    """Reads TF-GAN's Inception module from `config.eval.network_path` or TF-Hub's cache; or gives VGG16.

    Raises:
      ConfigError: the path has no such module; or there is none, and VGG16's weights are not to be had.
    """
    path = find_module(config.eval.network_path)
    if path is None:
        return instead(config, data)
    grey = check_channels(data, "inception")
    try:
        model = read_saved_model(path)
        size = jax.ShapeDtypeStruct((2, SIZE, SIZE, 3), np.float32)
        shapes = jax.eval_shape(lambda params, x: _outputs(model, params, x), model.params, size)
    except Exception as error:  # a damaged file may be wrong in any way
        reason = one_line(error)[:200]
        raise ConfigError(
            f"cannot read '{path}' ({reason}); --with=tfgan runs it by TensorFlow", _PATH
        ) from error
    resize = (f"bilinear to {SIZE}x{SIZE}" if data.image_shape[:2] != (SIZE, SIZE) else "none") + grey
    return UnloadedNetwork(INCEPTION_NAMES, shapes[1].shape[1], lambda: _network(model, path, resize))


def instead(config: Run, data: Dataset) -> UnloadedNetwork:
    """Returns VGG16 in the place of Inception, of which there is no file, and says how to get one."""
    fetch = f"import tensorflow_hub; print(tensorflow_hub.resolve('{ADDRESS}'))"
    how = f'TFHUB_CACHE_DIR=DIR {sys.executable} -c "{fetch}"'
    print(f"no file of Inception: the scores are VGG16's; where there is a network, {how} gets it")
    return imagenet("vgg16", config, data)


def find_module(network_path: str) -> Path | None:
    """Returns the folder of the module; None where no path is given and TF-Hub's cache has none.

    Args:
      network_path: the module's own folder, or a TF-Hub cache that has it; empty: TF-Hub's own cache.

    Raises:
      ConfigError: a path is given, and has no module.
    """
    cache = os.environ.get("TFHUB_CACHE_DIR") or Path(tempfile.gettempdir()) / "tfhub_modules"
    root = Path(network_path or cache)
    in_cache = root / hashlib.sha1(ADDRESS.encode()).hexdigest()  # TF-Hub's name for it
    for folder in (in_cache, root):
        if (folder / "saved_model.pb").is_file():
            return folder
    if network_path:
        raise ConfigError(f"no saved_model.pb in '{root}': not a SavedModel's folder", _PATH)
    return None


def checksum(path: Path) -> str:
    """Returns a digest of all files of a SavedModel."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(p for p in path.rglob("*") if p.is_file() and p.name != "fingerprint.pb"):
        digest.update(os.fsencode(file.relative_to(path)) + file.read_bytes())
    return digest.hexdigest()


def _network(model: SavedModel, path: Path, resize: str) -> Network:
    """Makes a network of the module."""
    params = jax.device_put(model.params, jax.local_devices()[0])

    @jax.jit
    def outputs(params, images):
        shape = (len(images), SIZE, SIZE, 3)
        resized = jax.image.resize(as_rgb(images), shape, "bilinear", antialias=False)
        return _outputs(model, params, resized)

    apply = functools.partial(in_batches, functools.partial(outputs, params), _BATCH)
    return Network("inception", checksum(path), resize, apply, INCEPTION_NAMES)


def _outputs(model: SavedModel, params: dict, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns (logits [n, classes], features [n, d]).

    Raises:
      ValueError: the module gives no such outputs.
    """
    found = model.apply(params, images)
    if not {"logits", "pool_3"} <= found.keys():
        raise ValueError(f"it must give 'logits' and 'pool_3', and gives {', '.join(sorted(found))}")
    return tuple(found[name].reshape(len(images), -1) for name in ("logits", "pool_3"))
