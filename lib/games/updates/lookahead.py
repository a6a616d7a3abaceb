"""Steps that go some way, and then back a part of it.

Chavdarova, Pagliardini, Stich, Fleuret, Jaggi, 'Taming GANs with Lookahead-Minmax', ICLR 2021.
"""

from typing import Annotated, Any, Literal

import jax
from pydantic import Field, PositiveInt

from lib.config import Section
from lib.games.updates.dynamics import Dynamics, Step, split
from lib.games.updates.euler import Alternating, Simultaneous
from lib.games.updates.extragradient import Extragradient
from lib.games.updates.rule import NO_POINTS, Options, UpdateRule
from lib.games.updates.state import GameState

_INNER = {"simultaneous": Simultaneous(), "alternating": Alternating(), "extragradient": Extragradient()}


class LookaheadArguments(Section):
    """Arguments of `Lookahead`.

    Attributes:
      every: k, the inner steps of one step.
      alpha: what part of the way is kept.
      inner: the rule of the inner steps; its own arguments have their defaults.
    """

    every: Annotated[PositiveInt, Field(le=100)] = 5
    alpha: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    inner: Literal[tuple(_INNER)] = "simultaneous"


class Lookahead(UpdateRule):
    """All players make k steps of another rule, and keep a part of the way.

    theta' = F^k(theta),    theta <- theta + alpha (theta' - theta)

    The optimisers' state stays that of the inner steps.
    """

    arguments = LookaheadArguments
    made_for = NO_POINTS

    def build(self, dynamics: Dynamics, options: Options) -> Step:
        """Builds the step, of k inner ones; its batch holds theirs, concatenated."""
        chosen = options.arguments
        inner = _INNER[chosen.inner].build(dynamics, _of_inner(options))

        def step(state: GameState, batch: Any, key: jax.Array):
            slow, metrics = state.params, {}
            for i, part in enumerate(split(batch, chosen.every)):
                state, new = inner(state, part, jax.random.fold_in(key, i))
                metrics = metrics or new
            params = jax.tree.map(lambda a, b: a + chosen.alpha * (b - a), slow, state.params)
            return state._replace(params=params), metrics

        return step

    def takes_turns(self, arguments: LookaheadArguments) -> bool:
        """Tells whether the inner rule's players have turns."""
        return _INNER[arguments.inner].in_turn

    def batches_per_step(self, options: Options) -> int:
        """Returns the inner steps' batches."""
        inner = _INNER[options.arguments.inner]
        return options.arguments.every * inner.batches_per_step(_of_inner(options))


def _of_inner(options: Options) -> Options:
    """Returns the options of the inner rule, whose arguments are its defaults."""
    return options._replace(arguments=_INNER[options.arguments.inner].arguments())
