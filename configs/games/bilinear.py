"""The bilinear game: momentum of either sign, alternating updates, and rivals.

    ./run.sh train --config=configs/games/bilinear.py

Gidel et al., 'Negative Momentum for Improved Game Dynamics', AISTATS 2019. Simultaneous updates spiral away
by sqrt(1 + eta^2) a step, alternating ones stay on an ellipse, negative momentum makes them converge.
"""

from configs.games.base import base, method
from configs.play import consensus

RATE = 0.3


def get_config():
    config = base("bilinear", [(0.8, 0.4)])
    config.num_steps = 100
    methods = config.games.methods
    methods.simultaneous = method(RATE)
    methods.simultaneous_negative = method(RATE, momentum=-0.5)
    methods.alternating = method(RATE, "alternating")
    methods.alternating_positive = method(RATE, "alternating", momentum=0.5)
    methods.alternating_negative = method(RATE, "alternating", momentum=-0.5)
    methods.consensus = method(RATE)
    consensus(methods.consensus, 0.5)
    for rule in ("extragradient", "optimistic", "runge_kutta_4"):
        methods[rule] = method(RATE, rule)
    return config
