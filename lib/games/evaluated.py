"""The parameters that are evaluated: what an optimiser names in the place of those that it moves."""

from collections.abc import Mapping
from typing import Any

from lib.optimizers import Optimizer

_IS_EVALUATED: dict[str, Any] = {}  # the state of the optimisers where the parameters are what is evaluated


def evaluated(optimizers: Mapping[str, Optimizer], state: Any) -> Any:
    """Returns a GameState with the parameters that are evaluated in the place of those that move.

    It cannot be trained from. Where no optimiser names others, it is the state itself.
    """
    others = {x: optimizer.evaluated for x, optimizer in optimizers.items() if optimizer.evaluated}
    if not others or not state.opt_state:
        return state
    params = {x: get(state.opt_state[x], state.params[x]) for x, get in others.items()}
    return state._replace(params={**state.params, **params}, opt_state=_IS_EVALUATED)
