"""The flows that a toy game's picture can show beside the steps of one method."""

from collections.abc import Sequence

import jax
import numpy as np

from experiments.games.config import GamesSection
from lib.games import flows


def positions(section: GamesSection, name: str, start: Sequence[float], steps: int) -> np.ndarray:
    """Follows a flow of the method `flows_of` from `start`.

    Returns:
      [steps + 1, d], the points after n = 0 .. steps updates; of a complex flow, their real parts.

    Raises:
      lib.games.flows.FlowError: the flow cannot be followed so far.
    """
    method = section.methods[section.flows_of]
    rates = {x: method.optimizers[x].learning_rate for x in method.as_options().order}
    with jax.enable_x64(True):
        toy = section.as_toy()
        if len(toy.sizes) == 1:
            (rate,) = rates.values()
            return flows.loss_positions(name, lambda theta: toy.losses(theta)[0], rate, start, steps).real
        modified, clock = flows.GAME_FLOWS[name]
        drifts = flows.DRIFTS[method.updates](rates, clock) if modified else None
        return flows.game_positions(toy.game, toy.params(start), rates, steps, drifts, clock)
