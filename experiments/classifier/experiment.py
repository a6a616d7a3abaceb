"""An image classifier as a game of one player, `model`, so that any update rule and optimiser apply."""

import jax
import jax.numpy as jnp

from experiments.classifier.config import ClassifierConfig
from lib import optimizers
from lib.config import ConfigError
from lib.data import DataSpec
from lib.data.pipeline import to_signed
from lib.devices import psum
from lib.experiment import Batch, Experiment
from lib.games import updates
from lib.games.game import Aux, Game
from lib.games.updates import GameState, Regularizers
from lib.losses import classifier_cross_entropy
from lib.nets.cnn import CNN

_PLAYER = "model"


def build(config: ClassifierConfig, spec: DataSpec) -> Experiment:
    """Builds the experiment of a validated config.

    Raises:
      ConfigError: unknown names, or points instead of images.
    """
    if len(spec.image_shape) != 3:
        raise ConfigError(f"config.dataset.name: '{config.dataset.name}' has no images to classify")
    section = config.classifier
    net = CNN(**section.cnn.model_dump(), num_classes=spec.num_classes)
    optimizer = {_PLAYER: optimizers.from_config(section.optimizer, "config.classifier.optimizer")}

    def losses(params, net_state, batch: Batch, key: jax.Array):
        logits, _ = net.apply(
            {"params": params[_PLAYER]},
            to_signed(batch["image"]),
            train=True,
            rngs={"dropout": key},
        )
        loss = classifier_cross_entropy(logits, batch["label"]).mean()
        accuracy = jnp.mean(logits.argmax(-1) == batch["label"])
        return {_PLAYER: loss}, Aux(net_state, {"accuracy": accuracy})

    rule = updates.make("simultaneous", Game((_PLAYER,), losses), optimizer, Regularizers.none((_PLAYER,)))

    def init(key: jax.Array, batch: Batch) -> GameState:
        params = net.init(key, to_signed(batch["image"][:2]), train=False)["params"]
        return rule.init({_PLAYER: params}, {})

    def logits_head(state: GameState, images: jax.Array):
        return net.apply({"params": state.params[_PLAYER]}, images, train=False)

    def eval_step(state: GameState, batch: Batch, key: jax.Array):
        del key
        logits, _ = logits_head(state, to_signed(batch["image"]))
        mask, label = batch["mask"], batch["label"]
        loss = jnp.sum(mask * classifier_cross_entropy(logits, label))
        correct = jnp.sum(mask * (logits.argmax(-1) == label))
        return psum({"loss": (loss, mask.sum()), "accuracy": (correct, mask.sum())})

    return Experiment(
        init=init,
        train_step=rule.step,
        eval_step=eval_step,
        heads={"logits": logits_head},
        main_metrics=(f"{_PLAYER}_loss", "accuracy"),
    )
