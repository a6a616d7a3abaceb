"""Public scoring networks: the convolutions of VGG16 and AlexNet, as trained on ImageNet.

Images become RGB in [0, 1] (grey ones are repeated over the channels), are resized to 64x64 bilinearly with
antialiasing, as torchvision's Resize does, and normalised with ImageNet's mean and deviation. The features
are the means over all pixels of the last convolution's outputs after ReLU: conv5_3 of VGG16 (512 features),
conv5 of AlexNet (256). The weights are torchvision's, see eval/networks/weights_package.py.

Simonyan, Zisserman, 'Very Deep Convolutional Networks for Large-Scale Image Recognition', ICLR 2015.
Krizhevsky, 'One weird trick for parallelizing convolutional neural networks', arXiv:1404.5997, 2014.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from eval.networks.batches import in_batches
from eval.networks.network import Network, UnloadedNetwork, as_rgb, check_channels, score_names
from eval.networks.weights_package import weights
from lib.data import Dataset
from lib.errors import within
from lib.schema import Run

SIZE = 64  # height and width; torchvision's 224 takes 2 cores 12 times as long
_BATCH = 50  # images of one call: of more, or smaller images, XLA's CPU convolutions are slower
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's RGB in [0, 1]


class Vgg16(nn.Module):
    """Computes conv5_3 of images [b, h, w, 3], [b, h / 16, w / 16, 512]."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        blocks = [(64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)]
        for i, block in enumerate(blocks):
            if i:
                x = nn.max_pool(x, (2, 2), (2, 2))
            for features in block:
                x = nn.relu(nn.Conv(features, (3, 3), padding=1)(x))
        return x


class AlexNet(nn.Module):
    """Computes conv5 of images [b, h, w, 3], about [b, h / 16, w / 16, 256]."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.relu(nn.Conv(64, (11, 11), (4, 4), padding=2)(x))
        x = nn.max_pool(x, (3, 3), (2, 2))
        x = nn.relu(nn.Conv(192, (5, 5), padding=2)(x))
        x = nn.max_pool(x, (3, 3), (2, 2))
        for features in (384, 256, 256):
            x = nn.relu(nn.Conv(features, (3, 3), padding=1)(x))
        return x


_MODULES = {"vgg16": Vgg16(), "alexnet": AlexNet()}
NUM_FEATURES = {"vgg16": 512, "alexnet": 256}


def imagenet(name: str, config: Run, data: Dataset) -> UnloadedNetwork:
    """Finds the weights of a network: in `config.eval.network_path`, or the package that carries them.

    Args:
      name: vgg16 or alexnet.
      config: of the run that is evaluated.
      data: what will be scored: grey or colour images of any size.

    Raises:
      ConfigError: the weights are not to be had, or not this network's.
    """
    module = _MODULES[name]
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, SIZE, SIZE, 3)))["params"]
    path = config.eval.network_path
    with within("config.eval.network_path" if path else "config.eval.network"):
        params, digest = weights(name, path, shapes)
    resize = f"bilinear, antialiased, to {SIZE}x{SIZE}" + check_channels(data, name)
    names = score_names(name, has_logits=False)

    def load() -> Network:
        placed = jax.device_put(params, jax.local_devices()[0])
        features = functools.partial(jax.jit(functools.partial(_features, module)), placed)
        return Network(name, digest, resize, functools.partial(in_batches, features, _BATCH), names)

    return UnloadedNetwork(names, NUM_FEATURES[name], load)


def preprocessed(images: jax.Array) -> jax.Array:
    """Returns what a network sees of images [b, h, w, c] in [-1, 1], [b, 64, 64, 3]."""
    rgb = as_rgb((images + 1) / 2)
    resized = jax.image.resize(rgb, (len(rgb), SIZE, SIZE, 3), "bilinear", antialias=True)
    mean, deviation = (jnp.array(x).reshape(1, 1, 1, 3) for x in (_MEAN, _DEVIATION))
    return (resized - mean) / deviation


def _features(module: nn.Module, params: dict, images: jax.Array) -> tuple[None, jax.Array]:
    """Returns (None, features [n, d])."""
    return None, module.apply({"params": params}, preprocessed(images)).mean((1, 2))
