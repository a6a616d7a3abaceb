"""The field that update rules follow, and the move along it: what all of them share."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lib.games import diagnostics, drift, symplectic
from lib.games.diagnostics import Diagnostic
from lib.games.drift import Coefficients
from lib.games.game import Game, gradients
from lib.games.regularizers import active_terms, regularizer_gradients
from lib.games.updates.state import GameState, Structure
from lib.optimizers import Optimizer
from lib.runtime.devices import device_key, pmean, replicated

Step = Callable[[GameState, Any, jax.Array], tuple[GameState, dict[str, jax.Array]]]
PerPlayer = Mapping[str, Any]  # {player: pytree like its parameters}


class Evaluation(NamedTuple):
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
      optimizers: {player: its optimiser}.
      structure: which terms are computed, and how.
      drift: `({player: learning rate of one update}) -> {player: Coefficients}`: of the update rule.
      separate: whether players who move at once each have a batch and latents of their own.
      diagnostics: names of lib/games/diagnostics.py, of what is measured besides.
    """

    game: Game
    optimizers: Mapping[str, Optimizer]
    structure: Structure
    drift: Callable[[Mapping[str, Any]], dict[str, Coefficients]]
    separate: bool = False
    diagnostics: tuple[Diagnostic, ...] = ()

    def rates(self, state: GameState) -> dict[str, jax.Array]:
        """Returns {player: the learning rate that its next update will use}."""
        return {x: self.optimizers[x].learning_rate(state.opt_state[x]) for x in self.game.players}

    def coefficients(self, state: GameState) -> dict[str, Coefficients]:
        """Returns the coefficients of the terms at the learning rates and weights of the state."""
        weights = state.weights
        coefficients = drift.total(self.drift(self.rates(state)), weights.multiplier, weights.explicit)
        if self.structure.sga != "fixed":
            return coefficients
        adjustment = symplectic.A_TRANSPOSED_XI
        return {
            x: jax.tree.map(lambda c, a: c + weights.sga * a, of_player, adjustment)
            for x, of_player in coefficients.items()
        }

    def evaluate(
        self,
        state: GameState,
        coefficients: Mapping[str, Coefficients],
        batch: Any,
        key: jax.Array,
        players: Sequence[str] | None = None,
    ) -> Evaluation:
        """Returns the named players' v at the state's parameters and net_state; all players' by default."""
        players = tuple(players or self.game.players)
        key_loss, key_terms = jax.random.split(device_key(key))
        aligned = self.structure.sga == "aligned"
        # The alignment is of the joint gradient, whoever moves.
        needed = self.game.players if aligned else players
        own, losses, aux = gradients(
            self.game, state.params, state.net_state, batch, key_loss, players=needed
        )
        active = {x: self.structure.terms[x] for x in self.game.players if x in players}
        added = self._terms(coefficients, active, state.params, state.net_state, batch, key_terms)
        if aligned:
            # Inner products of gradients are products of expectations: average their factors first.
            own = pmean(own)
            adjustment = self._adjustment(state, own, batch, key_terms)
            added = add_terms({x: adjustment[x] for x in players}, added)
        own = {x: own[x] for x in players}
        own, added, losses, net_state, metrics = pmean(
            (own, added, losses, aux.net_state, dict(aux.metrics))
        )
        grads = add_terms(own, added)
        metrics |= diagnostics.of_gradients(self.diagnostics, own, added, losses)
        own_loss = {x: functools.partial(self._own_loss, state, batch, key_loss, x) for x in players}
        return Evaluation(grads, losses, net_state, metrics, own_loss)

    def measure(self, state: GameState, batch: Any, key: jax.Array) -> dict[str, jax.Array]:
        """Returns the diagnostics of the state and one batch."""
        keys = jax.random.split(device_key(key))  # as `evaluate` splits it: the compiler can share its work
        of_rule = self.drift(self.rates(state)), self.structure.estimator
        return diagnostics.of_state(
            self.diagnostics, self.game, *of_rule, state.params, state.net_state, batch, tuple(keys)
        )

    def evaluate_all(
        self, state: GameState, coefficients: Mapping[str, Coefficients], batch: Any, key: jax.Array
    ) -> Evaluation:
        """Returns all players' v, of one batch that they share or, if `separate`, each of its own.

        Where they share, one forward pass serves all. If not, the batch holds one for each player,
        concatenated; all read the same net_state, and the first player's evaluation advances it.
        """
        if not self.separate:
            return self.evaluate(state, coefficients, batch, key)
        each = [
            self.evaluate(state, coefficients, part, own_key, [x])
            for x, part, own_key in self._shares(batch, key)
        ]
        return Evaluation(
            grads={x: g for evaluation in each for x, g in evaluation.grads.items()},
            losses={x: e.losses[x] for x, e in zip(self.game.players, each, strict=True)},
            net_state=each[0].net_state,
            metrics={
                name: value for evaluation in each[::-1] for name, value in evaluation.metrics.items()
            },
            own_loss={x: loss for evaluation in each for x, loss in evaluation.own_loss.items()},
        )

    def jacobian(
        self, state: GameState, coefficients: Mapping[str, Coefficients], batch: Any, key: jax.Array
    ) -> dict[str, Callable[[PerPlayer], Any]]:
        """Returns {x: the linear map of moves {y: like theta_y} to sum_y (d v_x / d theta_y) move_y}.

        Players that a move does not name stay. The batch is as of `evaluate_all`.
        """
        maps = {}
        for x in self.game.players:

            def own(params: PerPlayer, x: str = x) -> Any:
                at = state._replace(params=params)
                return self.evaluate_all(at, coefficients, batch, key).grads[x]

            maps[x] = functools.partial(_of_moves, jax.linearize(own, dict(state.params))[1], state.params)
        return maps

    def interactions(
        self, state: GameState, coefficients: Mapping[str, Coefficients], batch: Any, key: jax.Array
    ) -> Callable[[PerPlayer], dict[str, Any]]:
        """Returns the linear map of all players' moves to {x: the change of v_x by those of the others}."""
        maps = self.jacobian(state, coefficients, batch, key)

        def interact(moves: PerPlayer) -> dict[str, Any]:
            return {x: of({y: m for y, m in moves.items() if y != x}) for x, of in maps.items()}

        return interact

    def after_terms(self, state: GameState, batch: Any, key: jax.Array) -> dict[str, Any]:
        """Returns {player: gradient of its `rk_after` terms}, averaged over devices, of who has any.

        The batch is as of `evaluate_all`.
        """
        coefficients, active = state.weights.rk_after, self.structure.rk_after
        terms = {}
        for x, part, own_key in self._shares(batch, key):
            of_player = {x: active[x]}
            terms |= self._terms(
                coefficients, of_player, state.params, state.net_state, part, device_key(own_key)
            )
        return pmean(terms)

    def _shares(self, batch: Any, key: jax.Array) -> Iterator[tuple[str, Any, jax.Array]]:
        """Yields (player, its batch, its key): the same for all unless they are separate."""
        players = self.game.players
        if not self.separate:
            yield from ((x, batch, key) for x in players)
            return
        for i, (x, part) in enumerate(zip(players, split(batch, len(players)), strict=True)):
            yield x, part, jax.random.fold_in(key, i)

    def apply(self, state: GameState, evaluation: Evaluation) -> tuple[GameState, dict[str, jax.Array]]:
        """Moves the players of `evaluation.grads` by their optimisers; net_state becomes the evaluation's.

        Returns:
          (state, metrics: the losses and metrics of the evaluation, and the learning rates that were used).
        """
        params, opt_state, used = dict(state.params), dict(state.opt_state), {}
        for x, grads in evaluation.grads.items():
            optimizer = self.optimizers[x]
            updates, opt_state[x] = optimizer.update(
                grads,
                state.opt_state[x],
                state.params[x],
                value=evaluation.losses[x],
                grad=grads,
                value_fn=evaluation.own_loss[x],
            )
            params[x] = optax.apply_updates(state.params[x], updates)
            used[f"{x}_learning_rate"] = optimizer.used_rate(state.opt_state[x], opt_state[x])
        losses = {f"{x}_loss": v for x, v in evaluation.losses.items()}
        state = state._replace(params=params, opt_state=opt_state, net_state=evaluation.net_state)
        return state, {**losses, **evaluation.metrics, **used}

    @property
    def _terms(self) -> Callable:
        """Returns `regularizer_gradients` of this game, by the estimator that was chosen."""
        return functools.partial(regularizer_gradients, self.game, estimator=self.structure.estimator)

    def _adjustment(self, state: GameState, xi: PerPlayer, batch: Any, key: jax.Array) -> PerPlayer:
        """Returns lambda s A^T xi of all players, the same on all devices."""
        parts = []
        for of_player in (symplectic.A_TRANSPOSED_XI, symplectic.GRAD_H):
            coefficients = dict.fromkeys(self.game.players, of_player)
            active = active_terms(coefficients)
            part = self._terms(coefficients, active, state.params, state.net_state, batch, key)
            parts.append(pmean(part))
        sign = symplectic.alignment(xi, *parts)
        return jax.tree.map(lambda a: state.weights.sga * sign * a, parts[0])

    def _own_loss(
        self, state: GameState, batch: Any, key: jax.Array, player: str, params: Any
    ) -> jax.Array:
        """Returns the loss of one player where its parameters are others."""
        everybody = {**state.params, player: replicated(params)}
        losses, _ = self.game.losses(everybody, state.net_state, batch, key)
        return pmean(losses[player])


def _of_moves(linear: Callable, params: PerPlayer, moves: PerPlayer) -> Any:
    """Returns a linear map of all players' moves at those of some; the others do not move."""
    zeros = {x: jax.tree.map(jnp.zeros_like, p) for x, p in params.items() if x not in moves}
    return linear({**zeros, **moves})


def add_terms(grads: PerPlayer, terms: PerPlayer) -> dict[str, Any]:
    """Adds to the gradients the terms of those players that have any."""
    return {x: jax.tree.map(jnp.add, g, terms[x]) if x in terms else g for x, g in grads.items()}


def extrapolate(params: PerPlayer, rates: Mapping[str, jax.Array], grads: PerPlayer) -> dict[str, Any]:
    """Returns where a plain gradient step leads, theta_x - h_x v_x for all players."""
    return {x: jax.tree.map(lambda p, g, h=rates[x]: p - h * g, params[x], grads[x]) for x in params}


def split(batch: Any, n: int) -> list[Any]:
    """Splits a batch into n of equal size."""
    return [jax.tree.map(lambda v, i=i: jnp.split(v, n)[i], batch) for i in range(n)]
