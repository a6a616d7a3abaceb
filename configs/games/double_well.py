"""A loss with two minima on a line: gradient descent, momentum and adaptive step sizes.

./run.sh train --config=configs/games/double_well.py
"""

from configs.common import optimizer
from configs.games.base import ALONE, base, method


def get_config():
    config = base("double_well", [(1.7,), (-0.1,)])
    config.num_steps = 60
    methods = config.games.methods
    methods.sgd = method(0.1, players=ALONE)
    methods.momentum = method(0.1, momentum=0.8, players=ALONE)
    for name, chosen in {
        "sgd_hd": optimizer("sgd_hd", 0.1, beta=0.02),
        "dal": optimizer("dal", 2.0, p=0.5, cap=0.5),
        "adam": optimizer("adam", 0.1),
    }.items():
        methods[name] = method(0.1, players=ALONE)
        methods[name].optimizers.model = chosen
    return config
