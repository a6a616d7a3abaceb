"""A differentiable game: players x, each with parameters theta_x and a loss L_x(theta_1, .., theta_n).

A GAN is a game of two players, a classifier a game of one. Update rules and regularisers are written
against this abstraction alone.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Params = Mapping[str, Any]  # {player: pytree}
NetState = Any  # what nets carry besides parameters: batch statistics, singular vectors


class Aux(NamedTuple):
    """What a loss evaluation gives besides the losses."""

    net_state: NetState
    metrics: Mapping[str, jax.Array]


class Head(NamedTuple):
    """What all losses are functions of, and these functions.

    Attributes:
      outputs: `(params, net_state, batch, key) -> outputs`: of the networks, such as logits.
      losses: `(outputs, batch) -> {player: scalar}`, without penalties and regularisers.
    """

    outputs: Callable[[Params, NetState, Any, jax.Array], Any]
    losses: Callable[[Any, Any], Mapping[str, jax.Array]]


class Game(NamedTuple):
    """Players and their losses.

    Attributes:
      players: names; a pytree of parameters for each stands under that name in Params.
      losses: `(params, net_state, batch, key) -> ({player: scalar}, Aux)`: one forward pass that all
        players share. Losses are means over this device's examples.
      head: the same in two parts, for Gauss-Newton matrices; None: it is not known.
    """

    players: tuple[str, ...]
    losses: Callable[[Params, NetState, Any, jax.Array], tuple[Mapping[str, jax.Array], Aux]]
    head: Head | None = None


def gradients(
    game: Game,
    params: Params,
    net_state: NetState,
    batch: Any,
    key: jax.Array,
    players: tuple[str, ...] | None = None,
) -> tuple[dict[str, Any], dict[str, jax.Array], Aux]:
    """Returns every player's gradient of its own loss, grad_x L_x, from one shared forward pass.

    Args:
      players: whose gradients; all of the game's by default.

    Returns:
      ({player: gradient like params[player]}, {player: loss}, Aux), of this device.
    """
    losses, pullback, aux = jax.vjp(
        lambda p: game.losses(p, net_state, batch, key), dict(params), has_aux=True
    )
    grads = {x: pull_own(losses, pullback, x) for x in players or game.players}
    return grads, losses, aux


def pull_own(losses: Mapping[str, jax.Array], pullback: Callable, player: str) -> Any:
    """Returns grad_x L_x of one player from the pullback of all losses at all parameters."""
    return pull(losses, pullback, player)[player]


def pull(losses: Mapping[str, jax.Array], pullback: Callable, player: str) -> dict[str, Any]:
    """Returns {y: grad_y L_x} from the pullback. What the caller drops, the compiler drops."""
    seed = {x: jnp.ones_like(v) if x == player else jnp.zeros_like(v) for x, v in losses.items()}
    return pullback(seed)[0]
