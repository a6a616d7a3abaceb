"""What can be measured of a game while it trains: gradients, drift and their interaction, as metrics.

Of player x, with the other players y and gradients that are means over all devices:

    gradient_norms     x_gradient_norm                 |grad_x L_x|, at the parameters that x moves from
                       x_added_norm                    norm of what the config adds to that gradient: terms
                                                       that cancel or strengthen the drift, SGA
    parameter_norms    x_parameter_norm                |theta_x|
    polyak_steps       x_polyak_step                   L_x / |v_x|^2, v_x the gradient that x moves along:
                                                       Polyak's step size before it is clipped
    cross_gradients    y_gradient_norm_of_x_loss       |grad_y L_x|
    interaction        x_interaction                   sum_y <grad_y L_x, grad_y L_y>
    drift              x_drift_self_norm,              norms of the terms of the rule's drift, with their
                       x_drift_other_dot_prod          coefficients at the learning rates of the step
    hessian_gradients  x_hessian_gradient_norm         |H_x grad_x L_x|, H_x the Hessian of L_x

The first three come with a step. The others are computed besides, at the parameters that the step begins
with and on its first batch; in a simultaneous step with one batch they share its forward pass.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lib.errors import ConfigError
from lib.games.drift import DRIFTING, Coefficients
from lib.games.game import Game, pull
from lib.games.regularizers import Estimator, regularizer_gradients
from lib.runtime.devices import pmean

Diagnostic = Literal[
    "gradient_norms",
    "parameter_norms",
    "polyak_steps",
    "cross_gradients",
    "interaction",
    "drift",
    "hessian_gradients",
]
_OF_OTHERS = ("cross_gradients", "interaction")


def check_players(names: Sequence[Diagnostic], players: Sequence[str]) -> None:
    """Checks that what is between players has two of them.

    Raises:
      ConfigError: a diagnostic needs another player.
    """
    for name in names:
        if name in _OF_OTHERS and len(players) == 1:
            raise ConfigError(f"'{name}' is between players, and '{players[0]}' is the only one")


class Moved(NamedTuple):
    """What an evaluation for some players has: {player: ..} each.

    Attributes:
      own: gradients of the losses alone.
      added: what is added to them; only of players who have it.
      losses: of all players.
    """

    own: Mapping[str, Any]
    added: Mapping[str, Any]
    losses: Mapping[str, jax.Array]


def of_step(names: Sequence[Diagnostic], params: Mapping[str, Any], moved: Moved) -> dict[str, jax.Array]:
    """Returns the metrics that come with an evaluation, whose trees are means over devices."""
    metrics = {}
    for x, own in moved.own.items():
        if "gradient_norms" in names:
            metrics[f"{x}_gradient_norm"] = optax.tree.norm(own)
            if x in moved.added:
                metrics[f"{x}_added_norm"] = optax.tree.norm(moved.added[x])
        if "parameter_norms" in names:
            metrics[f"{x}_parameter_norm"] = optax.tree.norm(params[x])
        if "polyak_steps" in names:
            v = jax.tree.map(jnp.add, own, moved.added[x]) if x in moved.added else own
            metrics[f"{x}_polyak_step"] = moved.losses[x] / optax.tree.norm(v, squared=True)
    return metrics


def besides(
    names: Sequence[Diagnostic],
    game: Game,
    drift: Mapping[str, Coefficients],
    estimator: Estimator,
    params: Mapping[str, Any],
    net_state: Any,
    batch: Any,
    keys: tuple[jax.Array, jax.Array],
) -> dict[str, jax.Array]:
    """Returns the metrics that are computed besides a step.

    Args:
      drift: {player: coefficients of the rule's drift}.
      estimator: of the drift's terms.
      batch: this device's part of the step's first batch.
      keys: of the losses, and of the terms.
    """
    key_loss, key_terms = keys
    metrics = {}
    if any(name in names for name in _OF_OTHERS):
        metrics |= _between_players(names, game, params, net_state, batch, key_loss)

    def norm_of_term(x: str, term: str, coefficients: Coefficients, how: Estimator, key: jax.Array):
        """Returns the norm of one term of one player."""
        gradient = regularizer_gradients(
            game, {x: coefficients}, {x: (term,)}, params, net_state, batch, key, how
        )
        return optax.tree.norm(pmean(gradient[x]))

    for x in game.players:
        if "drift" in names:
            for term in DRIFTING if len(game.players) > 1 else ("self_norm",):
                metrics[f"{x}_drift_{term}"] = norm_of_term(x, term, drift[x], estimator, key_terms)
        if "hessian_gradients" in names:
            unit = Coefficients(1.0, 0.0, 0.0)
            metrics[f"{x}_hessian_gradient_norm"] = norm_of_term(
                x, "self_norm", unit, "biased_averaged", key_loss
            )
    return metrics


def _between_players(
    names: Sequence[Diagnostic],
    game: Game,
    params: Mapping[str, Any],
    net_state: Any,
    batch: Any,
    key: jax.Array,
) -> dict[str, jax.Array]:
    """Returns the metrics of every loss's gradients by all players."""
    losses, pullback, _ = jax.vjp(
        lambda p: game.losses(p, net_state, batch, key), dict(params), has_aux=True
    )
    gradients = pmean({x: pull(losses, pullback, x) for x in game.players})
    metrics = {}
    for x in game.players:
        others = [y for y in game.players if y != x]
        if "cross_gradients" in names:
            metrics |= {f"{y}_gradient_norm_of_{x}_loss": optax.tree.norm(gradients[x][y]) for y in others}
        if "interaction" in names:
            products = [optax.tree.vdot(gradients[x][y], gradients[y][y]) for y in others]
            metrics[f"{x}_interaction"] = sum(products)
    return metrics
