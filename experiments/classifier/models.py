"""Classifier networks by name, with the scaling of their inputs."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax

from lib.data import DataSpec, normalization
from lib.errors import ConfigError, within
from lib.nets.cnn import CNN, CNNOptions
from lib.nets.densenet import DenseNet, DenseNetOptions
from lib.nets.mlp import MLP, MLPOptions
from lib.nets.options import NetOptions, choose
from lib.nets.resnet import ResNet
from lib.nets.vgg import VGG, VGGOptions
from lib.nets.wide_resnet import WideResNet, WideResNetOptions
from lib.schema import Named


class ModelEntry(NamedTuple):
    """A network that a config can name.

    Attributes:
      module: makes it, of the number of classes and of the options' fields.
      options: their class, which also knows how often the network halves its images.
    """

    module: Callable[..., nn.Module]
    options: type[NetOptions]


MODELS = {
    "logistic": ModelEntry(functools.partial(MLP, hidden=(), activation="relu"), NetOptions),
    "mlp": ModelEntry(MLP, MLPOptions),
    "cnn": ModelEntry(CNN, CNNOptions),
    "vgg16": ModelEntry(VGG, VGGOptions),
    "wide_resnet": ModelEntry(WideResNet, WideResNetOptions),
    "densenet": ModelEntry(DenseNet, DenseNetOptions),
    "resnet18": ModelEntry(ResNet, NetOptions),
}


class Model(NamedTuple):
    """A network and the constants of its inputs. Images are float32 [b, h, w, c] in [-1, 1].

    Its net_state is {"inputs": `constants`, and Flax's collections, such as "batch_stats"}: the constants
    are saved with the parameters that were trained with them.
    """

    net: nn.Module
    constants: Mapping[str, Any]

    def init(self, key: jax.Array, images: jax.Array) -> tuple[Any, dict]:
        """Returns initial (params, net_state)."""
        variables = dict(self.net.init(key, normalization.apply(self.constants, images), train=False))
        return variables.pop("params"), {"inputs": dict(self.constants), **variables}

    def train(self, params, net_state, images: jax.Array, key: jax.Array) -> tuple[jax.Array, dict]:
        """Returns (logits [b, classes], the new net_state); `key` is that of dropout."""
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
        """Returns (logits [b, classes], features [b, d]) without dropout, by the running statistics."""
        images = normalization.apply(net_state["inputs"], images)
        return self.net.apply({"params": params, **_collections(net_state)}, images, train=False)


def make(section: Named, inputs: normalization.Normalization, spec: DataSpec, dataset_name: str) -> Model:
    """Returns the model that a section of the config names, for data of a set.

    Args:
      section: `config.classifier.model`.
      inputs: how they are scaled, `config.classifier.normalization`.
      spec: of the data.
      dataset_name: of the data, for errors.

    Raises:
      ConfigError: images that are too small, or inputs that cannot be normalised; the field is relative to
        `config.classifier`.
    """
    with within("model"):
        entry, options = choose(MODELS, section)
    height, width, _ = spec.image_shape
    least = 2**options.halvings
    if min(height, width) < least:
        raise ConfigError(
            f"'{section.name}' needs images of at least {least}x{least}, but those of '{dataset_name}' are "
            f"{height}x{width}; use another, such as 'mlp'",
            "model.name",
        )
    net = entry.module(num_classes=spec.num_classes, **options.model_dump())
    with within("normalization"):
        return Model(net, normalization.constants(inputs, spec.channel_moments))


def _collections(net_state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in net_state.items() if name != "inputs"}
