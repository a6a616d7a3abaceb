"""Classifiers by name, and how they are called: with normalised inputs and batch statistics."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax

from experiments.classifier.config import ClassifierSection
from lib.data import DataSpec, normalization
from lib.errors import ConfigError, lookup
from lib.nets.cnn import CNN
from lib.nets.densenet import DenseNet
from lib.nets.mlp import MLP
from lib.nets.resnet import ResNet
from lib.nets.vgg import VGG, VGG_16
from lib.nets.wide_resnet import WideResNet


class Family(NamedTuple):
    """How a network is made.

    Attributes:
      module: its class.
      options: what it is made with, besides the number of classes.
      halvings: how often it pools the image, leaving out what is left over.
    """

    module: type[nn.Module]
    options: Callable[[ClassifierSection], dict]
    halvings: Callable[[ClassifierSection], int] = lambda section: 0


MODELS = {
    "logistic": Family(MLP, lambda s: {"hidden": ()}),
    "mlp": Family(MLP, lambda s: s.mlp.model_dump()),
    "cnn": Family(CNN, lambda s: s.cnn.model_dump(), lambda s: len(s.cnn.channels)),
    "vgg16": Family(VGG, lambda s: s.vgg.model_dump(), lambda s: len(VGG_16)),
    "wide_resnet": Family(WideResNet, lambda s: s.wide_resnet.model_dump()),
    "densenet": Family(DenseNet, lambda s: s.densenet.model_dump(), lambda s: 2),
    "resnet18": Family(ResNet, lambda s: {}),
}


class Model(NamedTuple):
    """A network and the constants of its inputs. Images are float32 [b, h, w, c] in [-1, 1].

    Its net_state is {"inputs": `constants`, and Flax's collections, such as "batch_stats"}: the constants are
    saved with the parameters that were trained with them.
    """

    net: nn.Module
    constants: Mapping[str, Any]

    def init(self, key: jax.Array, images: jax.Array) -> tuple[Any, dict]:
        """(params, net_state)."""
        variables = dict(self.net.init(key, normalization.apply(self.constants, images), train=False))
        return variables.pop("params"), {"inputs": dict(self.constants), **variables}

    def train(self, params, net_state, images: jax.Array, key: jax.Array) -> tuple[jax.Array, dict]:
        """(logits [b, classes], the new net_state); `key` is that of dropout."""
        stats = _collections(net_state)
        (logits, _), stats = self.net.apply(
            {"params": params, **stats},
            normalization.apply(net_state["inputs"], images),
            train=True,
            mutable=list(stats),
            rngs={"dropout": key},
        )
        return logits, {"inputs": net_state["inputs"], **stats}

    def __call__(self, params, net_state, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(logits [b, classes], features [b, d]) without dropout, by the running statistics."""
        images = normalization.apply(net_state["inputs"], images)
        return self.net.apply({"params": params, **_collections(net_state)}, images, train=False)


def make(section: ClassifierSection, spec: DataSpec, dataset_name: str) -> Model:
    """The model that a section of the config names, for data of a set.

    Raises:
      ConfigError: an unknown name, images that are too small, or inputs that cannot be normalised.
    """
    family = lookup(MODELS, section.model, "config.classifier.model")
    height, width, _ = spec.image_shape
    least = 2 ** family.halvings(section)
    if min(height, width) < least:
        raise ConfigError(
            f"config.classifier.model: '{section.model}' needs images of at least {least}x{least}, but those of "
            f"'{dataset_name}' are {height}x{width}; use another, such as 'mlp'"
        )
    net = family.module(num_classes=spec.num_classes, **family.options(section))
    field = "config.classifier.normalization"
    return Model(net, normalization.constants(section.normalization, spec.channel_moments, field))


def _collections(net_state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in net_state.items() if name != "inputs"}
