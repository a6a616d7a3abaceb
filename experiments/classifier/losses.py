"""Losses of classifiers by name, and their options."""

from collections.abc import Callable
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from pydantic import Field, PositiveFloat, PositiveInt

from lib.errors import ConfigError
from lib.losses import classifier_cross_entropy, multiclass_hinge, top_k_entropy
from lib.nets.options import NetOptions, Rate, choose
from lib.schema import Named

Loss = Callable[[jax.Array, jax.Array], jax.Array]  # (logits [b, classes], labels [b]) -> [b]


class CrossEntropyOptions(NetOptions):
    """Of the cross entropy: `smoothing` of the labels."""

    smoothing: Rate = 0.0


class HingeOptions(NetOptions):
    """Of the multi-class hinge: whether it is smoothed."""

    smooth: bool = False


class TopKOptions(NetOptions):
    """Of the truncated top-k entropy: k, and the temperature."""

    k: PositiveInt = 5
    tau: Annotated[PositiveFloat, Field(lt=float("inf"))] = 1.0


class ClassifierLoss(NamedTuple):
    """A loss of a classifier.

    Attributes:
      train: what training descends.
      evaluate: what is measured on held-out data: the same without smoothing.
      top_k: the label may be among so many guesses; 1 but for the top-k entropy.
    """

    train: Loss
    evaluate: Loss
    top_k: int = 1

    def metrics(self, logits: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
        """Returns {metric: [b]} of held-out examples."""
        found = {"loss": self.evaluate(logits, labels), "accuracy": logits.argmax(-1) == labels}
        if self.top_k > 1:
            _, guesses = jax.lax.top_k(logits, self.top_k)
            found[f"top_{self.top_k}_accuracy"] = jnp.any(guesses == labels[:, None], -1)
        return found


class _Entry(NamedTuple):
    options: type[NetOptions]
    make: Callable[[NetOptions], ClassifierLoss]


def _cross_entropy(options: CrossEntropyOptions) -> ClassifierLoss:
    def smoothed(logits: jax.Array, labels: jax.Array) -> jax.Array:
        return classifier_cross_entropy(logits, labels, options.smoothing)

    return ClassifierLoss(smoothed, classifier_cross_entropy)


def _hinge(options: HingeOptions) -> ClassifierLoss:
    def smoothed(logits: jax.Array, labels: jax.Array) -> jax.Array:
        return multiclass_hinge(logits, labels, options.smooth)

    return ClassifierLoss(smoothed, multiclass_hinge)


def _top_k_entropy(options: TopKOptions) -> ClassifierLoss:
    def loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
        return top_k_entropy(logits, labels, options.k, options.tau)

    return ClassifierLoss(loss, loss, options.k)


LOSSES = {
    "cross_entropy": _Entry(CrossEntropyOptions, _cross_entropy),
    "hinge": _Entry(HingeOptions, _hinge),
    "top_k_entropy": _Entry(TopKOptions, _top_k_entropy),
}


def make(section: Named, num_classes: int) -> ClassifierLoss:
    """Returns the loss that a section of the config names.

    Raises:
      ConfigError: an unknown name, arguments that it does not take, or more guesses than there are classes;
        the field is relative to the section.
    """
    entry, options = choose(LOSSES, section)
    loss = entry.make(options)
    if loss.top_k >= num_classes:
        raise ConfigError(f"{loss.top_k} guesses of {num_classes} classes are always right", "kwargs.k")
    return loss
