r"""x' = -e x + y, y' = -x - e y: discretisation drift decides whether a spiral's steps converge.

    ./run.sh train --config=configs/games/rotational.py
    ./run.sh train --config=configs/games/rotational.py --config.games.kwargs.damping=0.2 \
      --workdir=runs/games/damped

Rosca, Wu, Dherin, Barrett, ICML 2021: for e = 0.09 and steps of 0.2 the flow converges, simultaneous
updates do not, and the modified flow tells (squared radius 1.0043); alternating updates, or the drift
cancelled, converge.
"""

from configs.games.base import base, method
from configs.play import cancel_interaction_drift

RATE = 0.2


def get_config():
    config = base("rotational", [(1.0, 0.0)], damping=0.09)
    config.num_steps = 150
    config.games.flows = ("original", "modified_shared")
    config.games.flows_of = "simultaneous"
    methods = config.games.methods
    methods.simultaneous = method(RATE)
    methods.alternating = method(RATE, "alternating")
    methods.interaction_cancelled = method(RATE)
    cancel_interaction_drift(methods.interaction_cancelled)
    return config
