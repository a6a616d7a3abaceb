"""The bilinear game: momentum of either sign and of any phase, alternating updates, and rivals.

    ./run.sh train --config=configs/games/bilinear.py

Gidel et al., 'Negative Momentum for Improved Game Dynamics', AISTATS 2019. Simultaneous updates spiral away
by sqrt(1 + eta^2) a step, alternating ones stay on an ellipse, negative momentum makes them converge.
"""

import math

from configs.common import named
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
    for rule in ("extragradient", "optimistic", "runge_kutta_4", "anchored_extragradient", "competitive"):
        methods[rule] = method(RATE, rule)
    methods.lookahead = method(RATE, "lookahead", every=5, alpha=0.5)
    methods.lead = method(RATE, "lead", alpha=0.3)
    methods.complex_momentum = with_optimizers("sgd_complex", momentum=0.7, phase=math.pi / 4)
    methods.slingshot = slingshot()
    return config


def with_optimizers(name, **kwargs):
    """Returns simultaneous updates with another optimiser of both players."""
    section = method(RATE)
    for optimizer in section.optimizers.values():
        optimizer.name = name
        optimizer.kwargs.update(kwargs)
    return section


def slingshot():
    """Returns simultaneous updates whose rates change their signs with every step, and are opposite."""
    section = method(RATE)
    for first, optimizer in zip((1, -1), section.optimizers.values(), strict=True):
        optimizer.schedule = named("slingshot", first=first)
    return section
