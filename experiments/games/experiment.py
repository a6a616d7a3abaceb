"""Toy games as an experiment: every method of the config moves copies of the players from every start.

The games are deterministic, so a trajectory is a function of its config and of the number of steps:
pictures and arrays walk it once more.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.games import pictures
from experiments.games.config import GamesConfig
from experiments.games.rates import make_rule
from lib.data import DataSpec
from lib.experiment import Batch, Experiment
from lib.games.toys import Toy
from lib.games.updates import BoundRule, GameState
from lib.pictures.artefacts import Array, Artefact, Picture

_KEY = 0  # the games draw nothing
_SHOWN = 3  # distances beside the progress bar


class GamesState(NamedTuple):
    """Where all copies of the players are.

    Attributes:
      step: the number of steps so far, int32.
      methods: {label: state of its rule}, every leaf with a leading axis of starts.
    """

    step: jax.Array
    methods: dict[str, GameState]

    @property
    def params(self) -> dict:
        """Returns {label: parameters of all copies of the players}."""
        return {label: state.params for label, state in self.methods.items()}


def build(config: GamesConfig, spec: DataSpec) -> Experiment:
    """Builds the experiment of a validated config.

    Raises:
      ConfigError: an unknown optimiser or argument, or a value that an optimiser refuses.
    """
    del spec
    section = config.games
    toy = section.as_toy()
    rules = {label: make_rule(toy, method, label) for label, method in section.methods.items()}
    move = functools.partial(step_all, toy, rules, section.limit)

    def draw(key: jax.Array, batch: Batch) -> tuple:
        del key, batch
        return ()

    def begin(drawn: tuple) -> GamesState:
        del drawn
        return state_at_starts(toy, rules, section.starts)

    def train_step(state: GamesState, batch: Batch, key: jax.Array):
        del batch, key
        state = move(state)
        return state, mean_distances(toy, state)

    def eval_step(state: GamesState, batch: Batch, key: jax.Array):
        del batch, key
        return {name: (value, jnp.ones([])) for name, value in mean_distances(toy, state).items()}

    @functools.lru_cache(maxsize=1)
    def trajectories(steps: int) -> dict[str, np.ndarray]:
        return walk(toy, move, state_at_starts(toy, rules, section.starts), steps)

    def artefacts(state: GamesState, key: jax.Array, means: Callable) -> dict[str, Artefact]:
        del key, means
        paths = trajectories(int(state.step))
        arrays = {f"trajectory_{label}": Array(path) for label, path in paths.items()}
        return arrays | {name: Picture(figure) for name, figure in pictures.draw(section, paths).items()}

    names = [f"distance/{label}" for label in rules]
    return Experiment(
        draw=draw,
        begin=begin,
        train_step=train_step,
        eval_step=eval_step,
        outputs={"artefacts": artefacts},
        main_metrics=tuple(names[:_SHOWN]),
    )


def state_at_starts(toy: Toy, rules: dict[str, BoundRule], starts: Sequence[Sequence[float]]) -> GamesState:
    """Returns the state of every method at every start."""
    at = jax.vmap(toy.params)(jnp.asarray(starts, float))
    return GamesState(
        jnp.zeros([], jnp.int32),
        {label: jax.vmap(lambda p, r=r: r.init(p, {}))(at) for label, r in rules.items()},
    )


def step_all(toy: Toy, rules: dict[str, BoundRule], limit: float, state: GamesState) -> GamesState:
    """Takes a step of every method from every start.

    Copies of the players that would leave the ball of radius `limit` around 0 stay where they are.
    """
    moved = {
        label: jax.vmap(functools.partial(_step_within, toy, rule, limit))(state.methods[label])
        for label, rule in rules.items()
    }
    return GamesState(state.step + 1, moved)


def _step_within(toy: Toy, rule: BoundRule, limit: float, old: GameState) -> GameState:
    """Takes a step of one copy of the players, or none if it would leave the ball."""
    new, _ = rule.step(old, None, jax.random.key(_KEY))
    inside = jnp.linalg.norm(toy.point(new.params)) < limit
    return jax.tree.map(lambda a, b: jnp.where(inside, a, b), new, old)


def points(toy: Toy, state: GameState) -> jax.Array:
    """Returns where the copies of one method are, [starts, d]."""
    return jax.vmap(toy.point)(state.params)


def _all_points(toy: Toy, state: GamesState) -> dict[str, jax.Array]:
    """Returns {label: where the copies of its method are, [starts, d]}."""
    return {label: points(toy, s) for label, s in state.methods.items()}


def distance(toy: Toy, at: jax.Array) -> jax.Array:
    """Returns the distances [n] of points [n, d] from the nearest equilibrium."""
    equilibria = jnp.asarray(toy.equilibria.copy(), float)
    return jnp.linalg.norm(at[None] - equilibria[:, None], axis=-1).min(0)


def mean_distances(toy: Toy, state: GamesState) -> dict[str, jax.Array]:
    """Returns {metric: mean distance of a method's copies from the nearest equilibrium}."""
    return {f"distance/{label}": distance(toy, at).mean() for label, at in _all_points(toy, state).items()}


def walk(
    toy: Toy, move: Callable[[GamesState], GamesState], start: GamesState, steps: int
) -> dict[str, np.ndarray]:
    """Returns the trajectories {label: points [steps + 1, starts, d]} from `start` on."""

    def one(state, _):
        state = move(state)
        return state, _all_points(toy, state)

    _, later = jax.jit(lambda s: jax.lax.scan(one, s, length=steps))(start)
    return jax.tree.map(
        lambda first, rest: np.concatenate([np.asarray(first)[None], np.asarray(rest)]),
        _all_points(toy, start),
        later,
    )
