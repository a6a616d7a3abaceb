"""Classifier networks by name, with the scaling of their inputs."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from lib.data import DataSpec, normalization
from lib.errors import ConfigError, within
from lib.nets.cnn import CNN, CNNOptions
from lib.nets.densenet import DenseNet, DenseNetOptions
from lib.nets.mlp import MLP, MLPOptions
from lib.nets.options import NetOptions, choose
from lib.nets.resnet import ResNet, ResNetOptions
from lib.nets.sentence_pairs import SentencePairs, SentencePairsOptions
from lib.nets.vgg import VGG, VGGOptions
from lib.nets.wide_resnet import WideResNet, WideResNetOptions
from lib.schema import Named


class ModelEntry(NamedTuple):
    """A network that a config can name.

    Attributes:
      module: makes it, of the number of classes and of the options' fields.
      options: their class, which also knows how often the network halves its images.
      reads: what its examples are.
    """

    module: Callable[..., nn.Module]
    options: type[NetOptions]
    reads: Literal["images", "sentences"] = "images"


MODELS = {
    "logistic": ModelEntry(functools.partial(MLP, hidden=(), activation="relu"), NetOptions),
    "mlp": ModelEntry(MLP, MLPOptions),
    "cnn": ModelEntry(CNN, CNNOptions),
    "vgg16": ModelEntry(VGG, VGGOptions),
    "wide_resnet": ModelEntry(WideResNet, WideResNetOptions),
    "densenet": ModelEntry(DenseNet, DenseNetOptions),
    "resnet18": ModelEntry(ResNet, ResNetOptions),
    "sentence_pairs": ModelEntry(SentencePairs, SentencePairsOptions, reads="sentences"),
}


class Model(NamedTuple):
    """A network and the constants of its inputs.

    Its examples are images, float32 [b, h, w, c] in [-1, 1], or words, int32 [b, 2, t]. Its net_state is
    {"inputs": `constants`, and Flax's collections, such as "batch_stats"}: the constants are saved with the
    parameters that were trained with them.
    """

    net: nn.Module
    constants: Mapping[str, Any]

    def init(self, key: jax.Array, examples: jax.Array) -> tuple[Any, dict]:
        """Returns initial (params, Flax's collections); they do not depend on the constants' values."""
        # Not the constants: a table of word vectors would become a part of the compiled program.
        like_constants = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), dict(self.constants))
        variables = dict(self.net.init(key, _inputs(like_constants, examples), train=False))
        return variables.pop("params"), variables

    def train(self, params, net_state, examples: jax.Array, key: jax.Array) -> tuple[jax.Array, dict]:
        """Returns (logits [b, classes], the new net_state); `key` is that of dropout."""
        stats = _collections(net_state)
        (logits, _), stats = self.net.apply(
            {"params": params, **stats},
            _inputs(net_state["inputs"], examples),
            train=True,
            mutable=list(stats),
            rngs={"dropout": key},
        )
        return logits, {"inputs": net_state["inputs"], **stats}

    def __call__(self, params, net_state, examples: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns (logits [b, classes], features [b, d]) without dropout, by the running statistics."""
        inputs = _inputs(net_state["inputs"], examples)
        return self.net.apply({"params": params, **_collections(net_state)}, inputs, train=False)


def make(section: Named, inputs: normalization.Normalization, spec: DataSpec, dataset_name: str) -> Model:
    """Returns the model that a section of the config names, for data of a set.

    Args:
      section: `config.classifier.model`.
      inputs: how they are scaled, `config.classifier.normalization`.
      spec: of the data.
      dataset_name: of the data, for errors.

    Raises:
      ConfigError: a network for other data, images that are too small, or inputs that cannot be normalised;
        the field is relative to `config.classifier`.
    """
    with within("model"):
        entry, options = choose(MODELS, section)
    given = "sentences" if spec.vocabulary else "images"
    if entry.reads != given:
        fitting = ", ".join(name for name, other in MODELS.items() if other.reads == given)
        text = f"'{section.name}' reads {entry.reads}, but '{dataset_name}' has {given}; use {fitting}"
        raise ConfigError(text, "model.name")
    if spec.vocabulary:
        return _of_sentences(entry, options, inputs, spec)
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


def _of_sentences(
    entry: ModelEntry, options: NetOptions, inputs: normalization.Normalization, spec: DataSpec
) -> Model:
    if inputs != "signed":
        raise ConfigError(f"'{inputs}' is of images; sentences need 'signed'", "normalization")
    vocabulary = spec.vocabulary
    net = entry.module(num_classes=spec.num_classes, num_words=vocabulary.size, **options.model_dump())
    return Model(net, {} if vocabulary.vectors is None else {"vectors": vocabulary.vectors})


def _inputs(constants: Mapping[str, jax.Array], examples: jax.Array):
    """Returns what a network takes: scaled images, or (words, their vectors)."""
    if jnp.issubdtype(examples.dtype, jnp.integer):
        return examples, constants.get("vectors")
    return normalization.apply(constants, examples)


def _collections(net_state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in net_state.items() if name != "inputs"}
