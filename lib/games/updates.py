"""Update rules: how the players of a game move, whatever the game.

A rule is built once from the game, an optimiser for each player and the regularisers, and is then a pure
function `(GameState, batches, key) -> (GameState, metrics)`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lib.devices import device_key, pmean
from lib.games import drift
from lib.games.drift import Coefficients
from lib.games.game import Game, gradients
from lib.games.regularizers import TERMS, Estimator, regularizer_gradients
from lib.optimizers import Optimizer


class GameState(NamedTuple):
    """All that a training step changes, and the numbers that a sweep may vary.

    Attributes:
      params: {player: pytree}.
      net_state: what nets carry besides parameters.
      opt_state: {player: optimiser state}.
      multiplier: {player: Coefficients}: of the drift's terms.
      explicit: {player: Coefficients}: added to them.
    """

    params: dict[str, Any]
    net_state: Any
    opt_state: dict[str, Any]
    multiplier: dict[str, Coefficients]
    explicit: dict[str, Coefficients]


class Regularizers(NamedTuple):
    """Drift multipliers and explicit coefficients of every player, as numbers of the config."""

    multiplier: Mapping[str, Coefficients]
    explicit: Mapping[str, Coefficients]
    estimator: Estimator = "unbiased_averaged"

    @classmethod
    def none(cls, players: Sequence[str]) -> "Regularizers":
        zeros = {x: Coefficients(0.0, 0.0, 0.0) for x in players}
        return cls(zeros, zeros)

    def active(self, drifting: Mapping[str, Coefficients]) -> dict[str, tuple[str, ...]]:
        """{player: terms to compute}: those whose coefficient is not zero for sure."""
        return {
            x: tuple(
                term
                for term in TERMS
                if getattr(self.explicit[x], term) != 0
                or (getattr(self.multiplier[x], term) != 0 and _can_drift(drifting[x], term))
            )
            for x in drifting
        }


Step = Callable[[GameState, Any, jax.Array], tuple[GameState, dict[str, jax.Array]]]


def init(
    params: Mapping[str, Any],
    net_state: Any,
    optimizers: Mapping[str, Optimizer],
    regularizers: Regularizers,
) -> GameState:
    """The state before the first step."""
    as_arrays = lambda tree: jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), dict(tree))
    return GameState(
        params=dict(params),
        net_state=net_state,
        opt_state={x: optimizers[x].init(params[x]) for x in params},
        multiplier=as_arrays(regularizers.multiplier),
        explicit=as_arrays(regularizers.explicit),
    )


def simultaneous(game: Game, optimizers: Mapping[str, Optimizer], regularizers: Regularizers) -> Step:
    """All players move at once, each along its own gradient at the same point.

    theta_x <- theta_x - h_x (grad_x L_x + regularisers),  for all x
    """
    rates = lambda state: {x: optimizers[x].learning_rate(state.opt_state[x]) for x in game.players}
    active = regularizers.active(drift.simultaneous({x: 1.0 for x in game.players}))

    def step(state: GameState, batch: Any, key: jax.Array):
        coefficients = drift.total(drift.simultaneous(rates(state)), state.multiplier, state.explicit)
        return _move(game, optimizers, regularizers, active, coefficients, game.players, state, batch, key)

    return step


def alternating(
    game: Game,
    optimizers: Mapping[str, Optimizer],
    regularizers: Regularizers,
    num_updates: Mapping[str, int],
) -> Step:
    """Players move in turn, in the game's order, player x num_updates[x] times before the next.

    `batch` holds max(num_updates) batches, concatenated: the j-th update of a player's turn sees the
    j-th of them, each update draws its own latents.
    """
    ones = {x: 1.0 for x in game.players}
    active = regularizers.active(drift.alternating(ones, num_updates))
    rates = lambda state: {x: optimizers[x].learning_rate(state.opt_state[x]) for x in game.players}
    num_batches = max(num_updates.values())

    def step(state: GameState, batch: Any, key: jax.Array):
        coefficients = drift.total(
            drift.alternating(rates(state), num_updates), state.multiplier, state.explicit
        )
        metrics = {}
        parts = [
            jax.tree.map(lambda v, j=j: jnp.split(v, num_batches)[j], batch) for j in range(num_batches)
        ]
        turn = 0
        for x in game.players:
            for j in range(num_updates[x]):
                key_j = jax.random.fold_in(key, turn)
                state, new = _move(
                    game,
                    optimizers,
                    regularizers,
                    active,
                    coefficients,
                    (x,),
                    state,
                    parts[j],
                    key_j,
                )
                metrics |= {k: v for k, v in new.items() if k not in metrics or k.startswith(f"{x}_")}
                turn += 1
        return state, metrics

    return step


def _move(
    game: Game,
    optimizers: Mapping[str, Optimizer],
    regularizers: Regularizers,
    active: Mapping[str, Sequence[str]],
    coefficients: Mapping[str, Coefficients],
    players: tuple[str, ...],
    state: GameState,
    batch: Any,
    key: jax.Array,
):
    """Moves the named players at once. Losses and gradients are averaged over devices before use."""
    key_loss, key_terms = jax.random.split(device_key(key))
    grads, losses, aux = gradients(game, state.params, state.net_state, batch, key_loss, players=players)
    terms = regularizer_gradients(
        game,
        coefficients,
        {x: active[x] for x in players},
        state.params,
        state.net_state,
        batch,
        key_terms,
        regularizers.estimator,
    )
    grads = {x: jax.tree.map(jnp.add, g, terms[x]) if x in terms else g for x, g in grads.items()}
    grads, losses, net_state, metrics = pmean((grads, losses, aux.net_state, aux.metrics))

    params, opt_state, rates = dict(state.params), dict(state.opt_state), {}
    for x in players:
        updates, opt_state[x] = optimizers[x].update(
            grads[x],
            state.opt_state[x],
            state.params[x],
            value=losses[x],
            grad=grads[x],
            value_fn=_own_loss(game, state, batch, key_loss, x),
        )
        params[x] = optax.apply_updates(state.params[x], updates)
        rates[f"{x}_learning_rate"] = optimizers[x].learning_rate(state.opt_state[x])
    metrics = {**{f"{x}_loss": v for x, v in losses.items()}, **metrics, **rates}
    return state._replace(params=params, opt_state=opt_state, net_state=net_state), metrics


def _own_loss(game: Game, state: GameState, batch: Any, key: jax.Array, x: str):
    """A player's loss as a function of its own parameters alone, for line searches."""

    def loss(params_x):
        losses, _ = game.losses({**state.params, x: params_x}, state.net_state, batch, key)
        return pmean(losses[x])

    return loss


def _can_drift(coefficients: Coefficients, term: str) -> bool:
    """False for terms that the update rule has no drift in, whatever the learning rates."""
    return term != "other_norm" or bool(getattr(coefficients, term))
