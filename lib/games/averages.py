"""Averages of the players' parameters along training, which are often better than the last ones.

    exponential   a_t = d_t a_{t-1} + (1 - d_t) theta_t,    d_t = min(d, (1 + n) / (10 + n))
    uniform       a_t = a_{t-1} + (theta_t - a_{t-1}) / n

where n is the number of steps that are averaged, this one included; before the first of them, a_t is
theta_t. The smaller decay at first lets early parameters be forgotten.

Yazici, Foo, Winkler, Yap, Piliouras, Chandrasekhar, 'The Unusual Effectiveness of Averaging in GAN
Training', ICLR 2019. Batch statistics are not averaged: an average is evaluated with the running ones.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import pydantic
from pydantic import Field, NonNegativeInt

from lib.config import Section
from lib.errors import ConfigError, nearest
from lib.games.game import Params


class Averaging(Section):
    """Says which averages are kept: see `averages` in configs/play.py."""

    exponential: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    uniform: bool = False
    start: NonNegativeInt = 0
    players: tuple[str, ...] = ()

    @pydantic.model_validator(mode="after")
    def _something_starts(self):
        """Checks that what is set has an effect."""
        if self.start and not self.kinds:
            raise ConfigError("nothing is averaged; set exponential or uniform, or start to 0", "start")
        if self.kinds and not self.players:
            raise ConfigError("empty; name the players whose parameters are averaged", "players")
        return self

    def check_players(self, players: tuple[str, ...]) -> None:
        """Checks that these are players of a game.

        Raises:
          ConfigError: one of them is not; its field is relative to this section.
        """
        for x in self.players:
            if x not in players:
                raise ConfigError(f"no player '{x}'{nearest(x, players)}", "players")

    @property
    def kinds(self) -> dict[str, Callable[[jax.Array], jax.Array]]:
        """Returns {name: `(n) -> weight of the old average`} of the averages that are kept."""
        kinds = {}
        if self.exponential:
            kinds["exponential"] = lambda n: jnp.minimum(self.exponential, (1 + n) / (10 + n))
        if self.uniform:
            kinds["uniform"] = lambda n: 1 - 1 / n
        return kinds


NO_AVERAGES = Averaging()


class Averages(NamedTuple):
    """Averages of the parameters so far.

    Attributes:
      step: how many steps there were, int32.
      params: {kind: {player: pytree like its parameters}}.
    """

    step: jax.Array
    params: Mapping[str, Params]


def first(averaging: Averaging, params: Params) -> Averages | None:
    """Returns the averages before the first step; None where there are none."""
    if not averaging.kinds:
        return None
    averaged = {x: params[x] for x in averaging.players}
    # Not the same arrays twice: a state's buffers are given to the next step.
    copies = {kind: jax.tree.map(lambda a: jnp.array(a, copy=True), averaged) for kind in averaging.kinds}
    return Averages(jnp.zeros([], jnp.int32), copies)


def advance(averaging: Averaging, averages: Averages | None, params: Params) -> Averages | None:
    """Returns the averages after a step that has led to these parameters."""
    if averages is None:
        return None
    step = averages.step + 1
    n = jnp.asarray(jnp.maximum(step - averaging.start, 1), float)
    averaged = {}
    for kind, weight_of_old in averaging.kinds.items():
        weight = jnp.where(step <= averaging.start, 0.0, weight_of_old(n))
        averaged[kind] = {
            x: jax.tree.map(lambda a, p, w=weight: (p + w * (a - p)).astype(p.dtype), of_player, params[x])
            for x, of_player in averages.params[kind].items()
        }
    return Averages(step, averaged)


def averaged_states(state: Any) -> dict[str, Any]:
    """Returns {kind: the state with averages in the place of the parameters} of a GameState."""
    if state.averages is None:
        return {}
    return {
        kind: state._replace(params={**state.params, **params})
        for kind, params in state.averages.params.items()
    }
