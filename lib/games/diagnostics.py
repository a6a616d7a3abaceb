"""What can be measured of a game while it trains: gradients, drift and their interaction, as metrics.

Of player x, with the other players y and gradients that are means over all devices:

    gradient_norms     x_gradient_norm              |grad_x L_x|
                       x_added_norm                 norm of what the config adds to that gradient: terms
                                                    that cancel or strengthen the drift, SGA
                       x_after_norm                 norm of the terms added after Runge-Kutta's stages
    polyak_steps       x_polyak_step                L_x / |v_x|^2 of the loss and the regularised gradient,
                                                    0 where that vanishes: Polyak's step size before it is
                                                    clipped (rules of this kind have more constants)
    parameter_norms    x_parameter_norm             |theta_x|
    cross_gradients    x_loss_y_gradient_norm       |grad_y L_x|
    interaction        x_interaction                sum_y <grad_y L_x, grad_y L_y>
    drift              x_drift_self_norm,           norms of the terms of the rule's drift, with their
                       x_drift_other_dot_prod       coefficients at the learning rates of the step
    hessian_gradients  x_hessian_gradient_norm      |H_x grad_x L_x|, H_x the Hessian of L_x

The first two come with a step: they are of the gradients that it computes, of several stages the first. The
others are computed besides, at the parameters that the step begins with and on its first batch; in a
simultaneous step with one batch they share its forward pass.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

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
    "polyak_steps",
    "parameter_norms",
    "cross_gradients",
    "interaction",
    "drift",
    "hessian_gradients",
]
_BETWEEN_PLAYERS = ("cross_gradients", "interaction")


def check(
    names: Sequence[Diagnostic], players: Sequence[str], why_no_drift_theory: Callable[[], str | None]
) -> None:
    """Checks that a game has what its diagnostics are of.

    Args:
      why_no_drift_theory: returns what there is no theory of the drift of; None where there is one.

    Raises:
      ConfigError: a diagnostic needs another player, or a theory of the drift.
    """
    for name in names:
        if name in _BETWEEN_PLAYERS and len(players) == 1:
            raise ConfigError(f"'{name}' is between players, and '{players[0]}' is the only one")
    if "drift" in names and (reason := why_no_drift_theory()):
        raise ConfigError(f"there is no theory of the drift of {reason}; leave 'drift' out")


def of_gradients(
    names: Sequence[Diagnostic],
    own: Mapping[str, Any],
    added: Mapping[str, Any],
    losses: Mapping[str, jax.Array],
) -> dict[str, jax.Array]:
    """Returns the metrics of gradients that a step has computed.

    Args:
      own: {player: gradient of its loss alone}, the mean over devices as all others.
      added: {player: what is added to it}, of those who have anything.
      losses: {player: loss}.
    """
    metrics = {}
    for x, gradient in own.items():
        if "gradient_norms" in names:
            metrics[f"{x}_gradient_norm"] = optax.tree.norm(gradient)
            if x in added:
                metrics[f"{x}_added_norm"] = optax.tree.norm(added[x])
        if "polyak_steps" in names:
            v = jax.tree.map(jnp.add, gradient, added[x]) if x in added else gradient
            metrics[f"{x}_polyak_step"] = _polyak_step(losses[x], optax.tree.norm(v, squared=True))
    return metrics


def _polyak_step(loss: jax.Array, squared: jax.Array) -> jax.Array:
    """Returns loss / squared norm, 0 where that vanishes: finite, as metrics must be."""
    numbers = jnp.finfo(loss.dtype)
    vanishes = squared < numbers.tiny
    step = loss / jnp.where(vanishes, 1, squared)
    return jnp.where(vanishes, 0, jnp.clip(step, numbers.min, numbers.max))


def of_state(
    names: Sequence[Diagnostic],
    game: Game,
    drift: Mapping[str, Coefficients],
    estimator: Estimator,
    params: Mapping[str, Any],
    net_state: Any,
    batch: Any,
    keys: tuple[jax.Array, jax.Array],
) -> dict[str, jax.Array]:
    """Returns the metrics of a state and a batch.

    Args:
      drift: {player: coefficients of the rule's drift}.
      estimator: of the drift's terms.
      batch: this device's part of it.
      keys: of the losses, and of the terms.
    """
    key_loss, key_terms = keys
    metrics = {}
    if any(name in names for name in _BETWEEN_PLAYERS):
        metrics |= _between_players(names, game, params, net_state, batch, key_loss)

    def norm_of_term(x: str, term: str, coefficients: Coefficients, how: Estimator, key: jax.Array):
        """Returns the norm of one term of one player."""
        gradient = regularizer_gradients(
            game, {x: coefficients}, {x: (term,)}, params, net_state, batch, key, how
        )
        return optax.tree.norm(pmean(gradient[x]))

    for x in game.players:
        if "parameter_norms" in names:
            metrics[f"{x}_parameter_norm"] = optax.tree.norm(params[x])
        if "drift" in names:
            for term in DRIFTING if len(game.players) > 1 else ("self_norm",):
                metrics[f"{x}_drift_{term}"] = norm_of_term(x, term, drift[x], estimator, key_terms)
        if "hessian_gradients" in names:
            one = Coefficients(1.0, 0.0, 0.0)
            metrics[f"{x}_hessian_gradient_norm"] = norm_of_term(
                x, "self_norm", one, "biased_averaged", key_loss
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
            metrics |= {f"{x}_loss_{y}_gradient_norm": optax.tree.norm(gradients[x][y]) for y in others}
        if "interaction" in names:
            products = [optax.tree.vdot(gradients[x][y], gradients[y][y]) for y in others]
            metrics[f"{x}_interaction"] = sum(products)
    return metrics
