"""A classifier of images or of pairs of sentences, as a game of one player, `model`.

So any update rule and optimiser apply.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.classifier import losses, models
from experiments.classifier.config import Augmentation, ClassifierConfig
from experiments.classifier.losses import ClassifierLoss
from experiments.classifier.models import Model
from lib import optimizers
from lib.data import DataSpec, augmentation
from lib.data.pipeline import to_signed
from lib.errors import ConfigError, within
from lib.experiment import Batch, Experiment, GameView
from lib.games import updates
from lib.games.config import PLAYER
from lib.games.game import Aux, Game, Head
from lib.games.microbatches import in_microbatches
from lib.games.updates import GameState, Regularizers
from lib.losses import hidden_l2
from lib.runtime import streams
from lib.runtime.devices import psum


def build(config: ClassifierConfig, spec: DataSpec) -> Experiment:
    """Builds the experiment of a validated config.

    Raises:
      ConfigError: unknown names, points instead of images, or data that do not fit the config.
    """
    _check_examples(config, spec)
    section = config.classifier
    with within("config.classifier"):
        _check_augmentation(section.augmentation, spec)
        model = models.make(section.model, section.normalization, spec, config.dataset.name)
        with within("loss"):
            loss = losses.make(section.loss, spec.num_classes)
        with within("optimizer"):
            optimizer = {PLAYER: optimizers.from_config(section.optimizer)}
    rule = updates.make(
        "simultaneous",
        in_microbatches(ClassifierLosses(model, loss, section.l2).as_game(), section.microbatch),
        optimizer,
        Regularizers.none((PLAYER,)),
        averaging=section.averages,
        diagnostics=section.diagnostics,
    )

    def draw(key: jax.Array, batch: Batch) -> tuple[dict, dict]:
        return model.init(key, to_signed(batch["image"][:2]))

    def begin(drawn: tuple[dict, dict]) -> GameState:
        params, stats = drawn
        return rule.init({PLAYER: params}, {"inputs": dict(model.constants), **stats})

    def train_step(state: GameState, batch: Batch, key: jax.Array):
        image = augment(batch["image"], streams.augmentation_key(key), section.augmentation)
        new, metrics = rule.step(state, examples({**batch, "image": image}), key)
        # A mean over devices may have rounded the constants.
        return new._replace(net_state=new.net_state | {"inputs": state.net_state["inputs"]}), metrics

    def logits(state: GameState, images: jax.Array):
        state = rule.evaluated(state)
        return model(state.params[PLAYER], state.net_state, images)

    def eval_step(state: GameState, batch: Batch, key: jax.Array):
        del key
        values, _ = logits(state, to_signed(batch["image"]))
        mask, metrics = batch["mask"], loss.metrics(values, batch["label"])
        return psum({name: (jnp.sum(mask * x), mask.sum()) for name, x in metrics.items()})

    return Experiment(
        draw=draw,
        begin=begin,
        train_step=train_step,
        eval_step=eval_step,
        outputs={"logits": logits},
        averages=rule.averages,
        device_batch_multiple=max(section.microbatch, 1),
        main_metrics=(f"{PLAYER}_loss", "accuracy"),
        game=GameView(rule, examples),
    )


class ClassifierLosses(NamedTuple):
    """The loss of the game's one player.

    Attributes:
      model: the network.
      loss: of its logits.
      l2: weight of the regulariser, which the loss's value does not show.
    """

    model: Model
    loss: ClassifierLoss
    l2: float

    def as_game(self) -> Game:
        """Returns the game."""
        return Game((PLAYER,), self, Head(self.outputs, self.of_outputs))

    def __call__(self, params, net_state, batch: Batch, key: jax.Array):
        """Returns ({player: loss}, the new net_state and metrics); `key` is that of dropout."""
        logits, net_state = self.model.train(params[PLAYER], net_state, batch["image"], key)
        values = self.of_outputs(logits, batch)
        if self.l2:
            values[PLAYER] += hidden_l2(params[PLAYER], self.l2)
        accuracy = jnp.mean(logits.argmax(-1) == batch["label"])
        return values, Aux(net_state, {"accuracy": accuracy})

    def outputs(self, params, net_state, batch: Batch, key: jax.Array) -> jax.Array:
        """Returns the logits of training [b, classes]."""
        return self.model.train(params[PLAYER], net_state, batch["image"], key)[0]

    def of_outputs(self, logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """Returns {player: loss} of logits."""
        return {PLAYER: self.loss.train(logits, batch["label"]).mean()}


def examples(batch: Batch) -> Batch:
    """Returns what the update rule takes of a batch: images in [-1, 1] or words, and labels [b]."""
    return {"image": to_signed(batch["image"]), "label": batch["label"]}


def augment(image: jax.Array, key: jax.Array, section: Augmentation) -> jax.Array:
    """Changes this device's training images [b, h, w, c] at random, as the config says."""
    key_crop, key_flip = jax.random.split(key)
    if section.crop_padding:
        image = augmentation.pad_and_crop(image, key_crop, section.crop_padding)
    return augmentation.flip(image, key_flip) if section.flip else image


def _check_examples(config: ClassifierConfig, spec: DataSpec) -> None:
    if len(spec.image_shape) != 3 and not spec.vocabulary:
        text = f"'{config.dataset.name}' has no images or sentences to classify"
        raise ConfigError(text, "config.dataset.name")
    if spec.num_classes < 2:
        raise ConfigError(
            f"'{config.dataset.name}' has no classes to tell apart; put images into a folder for each "
            "class, or score without a classifier: config.eval.network=vgg16",
            "config.dataset.name",
        )


def _check_augmentation(section: Augmentation, spec: DataSpec) -> None:
    if spec.vocabulary and (section.crop_padding or section.flip):
        field = "crop_padding" if section.crop_padding else "flip"
        raise ConfigError("is for images; leave it off", f"augmentation.{field}")
    side = min(spec.image_shape[:2])
    if section.crop_padding >= side:
        raise ConfigError(
            f"{section.crop_padding} may leave nothing of images of {side} pixels; use at most {side - 1}",
            "augmentation.crop_padding",
        )
