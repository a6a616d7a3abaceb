"""The field that update rules follow, and the move along it: what all of them share."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lib.games import drift, symplectic
from lib.games.drift import Coefficients
from lib.games.game import Game, gradients
from lib.games.regularizers import TERMS, regularizer_gradients
from lib.games.updates.state import GameState, Regularizers, active_terms
from lib.optimizers import Optimizer
from lib.runtime.devices import device_key, pmean, replicated

Step = Callable[[GameState, Any, jax.Array], tuple[GameState, dict[str, jax.Array]]]
PerPlayer = Mapping[str, Any]  # {player: pytree like its parameters}


class Look(NamedTuple):
    """What one evaluation of the game gives, averaged over devices.

    Attributes:
      grads: {player: v_x}: its gradient with all that the config adds to it.
      losses: {player: loss}.
      net_state: advanced by this evaluation.
      metrics: of the game.
      own_loss: {player: its loss as a function of its own parameters alone, for optimisers that probe it}.
    """

    grads: PerPlayer
    losses: Mapping[str, jax.Array]
    net_state: Any
    metrics: Mapping[str, jax.Array]
    own_loss: Mapping[str, Callable[[Any], jax.Array]]


@dataclasses.dataclass(frozen=True, eq=False)  # one object, one game: compiled functions may depend on it
class Dynamics:
    """The regularised, adjusted joint gradient v of a game, and how a player moves along its own.

    v_x = grad_x L_x + sum of terms (multiplier * drift + explicit) + SGA

    Attributes:
      drift: `({player: learning rate of one update}) -> {player: Coefficients}`: of the update rule.
    """

    game: Game
    optimizers: Mapping[str, Optimizer]
    regularizers: Regularizers
    drift: Callable[[Mapping[str, Any]], dict[str, Coefficients]]

    def rates(self, state: GameState) -> dict[str, jax.Array]:
        """{player: the learning rate that its next update will use}."""
        return {x: self.optimizers[x].learning_rate(state.opt_state[x]) for x in self.game.players}

    def coefficients(self, state: GameState) -> dict[str, Coefficients]:
        """What the learning rates of the moment make of the regularisers' weights."""
        weights = state.weights
        coefficients = drift.total(self.drift(self.rates(state)), weights.multiplier, weights.explicit)
        if self._sga == "fixed":
            add = lambda c, a: c + weights.sga * a
            return {x: jax.tree.map(add, c, symplectic.A_TRANSPOSED_XI) for x, c in coefficients.items()}
        return coefficients

    def look(
        self,
        state: GameState,
        coefficients: Mapping[str, Coefficients],
        batch: Any,
        key: jax.Array,
        players: Sequence[str] | None = None,
    ) -> Look:
        """The named players' v at the state's parameters and net_state; all players' by default."""
        players = tuple(players or self.game.players)
        key_loss, key_terms = jax.random.split(device_key(key))
        # The alignment is of the joint gradient, whoever moves.
        needed = self.game.players if self._sga == "aligned" else players
        own, losses, aux = gradients(
            self.game, state.params, state.net_state, batch, key_loss, players=needed
        )
        active = {x: terms for x, terms in self._active.items() if x in players}
        terms = self._terms(state, coefficients, active, batch, key_terms)
        if self._sga == "aligned":
            # Inner products of gradients are products of expectations: average their factors first.
            own = pmean(own)
            adjustment = self._adjustment(state, own, batch, key_terms)
            own = {x: jax.tree.map(jnp.add, own[x], adjustment[x]) for x in players}
        grads = add_terms(own, terms)
        grads, losses, net_state, metrics = pmean((grads, losses, aux.net_state, aux.metrics))
        own_loss = {x: self._own_loss(state, batch, key_loss, x) for x in players}
        return Look(grads, losses, net_state, metrics, own_loss)

    def after(self, state: GameState, batch: Any, key: jax.Array) -> dict[str, Any]:
        """{player: gradient of its `rk_after` terms}, averaged over devices, of players that have any."""
        active = active_terms(self.regularizers.weights.rk_after)
        return pmean(self._terms(state, state.weights.rk_after, active, batch, device_key(key)))

    def move(self, state: GameState, look: Look) -> tuple[GameState, dict[str, jax.Array]]:
        """Moves the players of `look.grads` by their optimisers; net_state becomes the look's.

        Returns:
          (state, metrics: the look's losses and metrics, and the learning rates that were used).
        """
        params, opt_state, used = dict(state.params), dict(state.opt_state), {}
        for x, grads in look.grads.items():
            optimizer = self.optimizers[x]
            updates, opt_state[x] = optimizer.update(
                grads,
                state.opt_state[x],
                state.params[x],
                value=look.losses[x],
                grad=grads,
                value_fn=look.own_loss[x],
            )
            params[x] = optax.apply_updates(state.params[x], updates)
            used[f"{x}_learning_rate"] = optimizer.used_rate(state.opt_state[x], opt_state[x])
        metrics = {**{f"{x}_loss": v for x, v in look.losses.items()}, **look.metrics, **used}
        return state._replace(params=params, opt_state=opt_state, net_state=look.net_state), metrics

    @property
    def _sga(self) -> str:
        """off; fixed: two more terms; aligned: with a sign that needs their values."""
        if self.regularizers.weights.sga == 0:
            return "off"
        return "aligned" if self.regularizers.sga_align else "fixed"

    @property
    def _active(self) -> dict[str, tuple[str, ...]]:
        """{player: terms to compute}: those whose coefficient is not zero for sure."""
        weights, adjustment = self.regularizers.weights, symplectic.A_TRANSPOSED_XI

        def counts(x: str, term: str) -> bool:
            return (
                getattr(weights.explicit[x], term) != 0
                or (getattr(weights.multiplier[x], term) != 0 and term in drift.DRIFTING)
                or (self._sga == "fixed" and getattr(adjustment, term) != 0)
            )

        return {x: tuple(t for t in TERMS if counts(x, t)) for x in self.game.players}

    def _terms(self, state: GameState, coefficients, active, batch: Any, key: jax.Array) -> dict[str, Any]:
        return regularizer_gradients(
            self.game,
            coefficients,
            active,
            state.params,
            state.net_state,
            batch,
            key,
            self.regularizers.estimator,
        )

    def _adjustment(self, state: GameState, xi: PerPlayer, batch: Any, key: jax.Array) -> PerPlayer:
        """lambda s A^T xi of all players, the same on all devices."""
        everybody = lambda c: {x: c for x in self.game.players}
        parts = []
        for coefficients in map(everybody, (symplectic.A_TRANSPOSED_XI, symplectic.GRAD_H)):
            parts.append(pmean(self._terms(state, coefficients, active_terms(coefficients), batch, key)))
        sign = symplectic.alignment(xi, *parts)
        return jax.tree.map(lambda a: state.weights.sga * sign * a, parts[0])

    def _own_loss(self, state: GameState, batch: Any, key: jax.Array, x: str) -> Callable:
        def loss(params_x):
            params = {**state.params, x: replicated(params_x)}
            losses, _ = self.game.losses(params, state.net_state, batch, key)
            return pmean(losses[x])

        return loss


def add_terms(grads: PerPlayer, terms: PerPlayer) -> dict[str, Any]:
    """grads, with the terms of those players that have any."""
    return {x: jax.tree.map(jnp.add, g, terms[x]) if x in terms else g for x, g in grads.items()}


def ahead(params: PerPlayer, rates: Mapping[str, jax.Array], grads: PerPlayer) -> dict[str, Any]:
    """theta_x - h_x v_x for all players: where a plain gradient step would lead."""
    return {x: jax.tree.map(lambda p, g, h=rates[x]: p - h * g, params[x], grads[x]) for x in params}


def split(batch: Any, n: int) -> list[Any]:
    """n batches of equal size from one."""
    return [jax.tree.map(lambda v, i=i: jnp.split(v, n)[i], batch) for i in range(n)]
