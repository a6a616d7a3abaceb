"""Rosenbrock's curved valley in the plane: small and large steps, momentum and adaptive step sizes.

./run.sh train --config=configs/games/banana.py
"""

from configs.common import optimizer
from configs.games.base import ALONE, base, method


def get_config():
    config = base("banana", [(-1.2, 1.5), (0.5, -1.5)])
    config.num_steps = 300
    methods = config.games.methods
    methods.sgd = method(0.01, players=ALONE)
    methods.momentum = method(0.01, momentum=0.9, players=ALONE)
    for name, chosen in {
        "dal": optimizer("dal", 1.0, p=1.0, cap=0.2),
        "adam": optimizer("adam", 0.1),
    }.items():
        methods[name] = method(0.01, players=ALONE)
        methods[name].optimizers.model = chosen
    config.games.flows = ("gradient_flow",)
    config.games.flows_of = "sgd"
    return config
