"""A differentiable neural computer on repeat copy, as a game of one player: any optimiser applies."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from experiments.dnc.config import DncConfig, DncSection
from experiments.dnc.task import Sequences, repeat_copy
from lib import optimizers
from lib.data import DataSpec
from lib.errors import within
from lib.experiment import Batch, Experiment, GameView
from lib.games import updates
from lib.games.config import PLAYER
from lib.games.game import Aux, Game
from lib.games.updates import GameState, Regularizers
from lib.nets.dnc import Dnc
from lib.runtime.devices import psum

_HELD_OUT = 500  # sequences of an evaluation


def build(config: DncConfig, spec: DataSpec) -> Experiment:
    """Builds the experiment of a validated config.

    Raises:
      ConfigError: an unknown optimiser or argument, or a value that an optimiser refuses.
    """
    del spec
    section = config.dnc
    with within("config.dnc.optimizer"):
        optimizer = {PLAYER: optimizers.from_config(section.optimizer)}
    losses = CopyLosses(section, _network(section))
    rule = updates.make(
        "simultaneous",
        Game((PLAYER,), losses),
        optimizer,
        Regularizers.none((PLAYER,)),
        averaging=section.averages,
        diagnostics=section.diagnostics,
    )

    def draw(key: jax.Array, batch: Batch) -> dict:
        del batch
        return losses.network.init(key, losses.draw(key, 1).observation)["params"]

    def begin(params: dict) -> GameState:
        return rule.init({PLAYER: params}, {})

    def eval_step(state: GameState, batch: Batch, key: jax.Array):
        del batch
        params = rule.evaluated(state).params
        loss, metrics = losses.of_sequences(params[PLAYER], losses.draw(key, _HELD_OUT))
        one = jnp.ones([])
        return psum({name: (value, one) for name, value in ({"loss": loss} | metrics).items()})

    return Experiment(
        draw=draw,
        begin=begin,
        train_step=lambda state, batch, key: rule.step(state, batch, key),
        eval_step=eval_step,
        averages=rule.averages,
        main_metrics=(f"{PLAYER}_loss", "bit_error"),
        game=GameView(rule, lambda batch: batch),
    )


class CopyLosses(NamedTuple):
    """The loss of the game's one player: of sequences that the step's key draws."""

    section: DncSection
    network: Dnc

    def __call__(self, params, net_state, batch: Batch, key: jax.Array):
        """Returns ({player: loss}, net_state and metrics)."""
        del batch
        loss, metrics = self.of_sequences(params[PLAYER], self.draw(key, self.section.sequences))
        return {PLAYER: loss}, Aux(net_state, metrics)

    def draw(self, key: jax.Array, n: int) -> Sequences:
        """Draws n sequences."""
        s = self.section
        return repeat_copy(key, n, s.bits, (s.min_length, s.max_length), (s.min_repeats, s.max_repeats))

    def of_sequences(self, params, sequences: Sequences) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Returns (the mean over sequences of all bits' cross entropy, in nats, {"bit_error": share})."""
        logits = self.network.apply({"params": params}, sequences.observation)
        mask = sequences.mask[..., None]
        entropy = optax.sigmoid_binary_cross_entropy(logits, sequences.target)
        wrong = (logits > 0) != (sequences.target > 0.5)
        count = jnp.sum(mask) * sequences.target.shape[-1]
        loss = jnp.sum(mask * entropy) / len(logits)
        return loss, {"bit_error": jnp.sum(mask * wrong) / count}


def _network(section: DncSection) -> Dnc:
    outputs = section.bits + 1
    return Dnc(section.hidden, section.slots, section.width, section.heads, outputs, section.clip)
