"""A general quadratic game of four numbers, damped and rotating at different speeds: rules and optimisers.

    ./run.sh train --config=configs/games/quadratic.py

L_disc = 1/2 x^T A x + x^T B y, L_gen = 1/2 y^T D y + y^T C x:
`--config.games.kwargs.disc='((1.,0.),(0.,.1))'` and so on set the matrices.
"""

from configs.common import optimizer
from configs.games.base import base, method
from configs.play import symplectic

RATE = 0.2


def get_config():
    config = base("quadratic", [(1.0, 0.5, -0.5, 1.0)])
    config.num_steps = 300
    methods = config.games.methods
    curved = ("competitive", "follow_the_ridge", "local_symplectic_surgery")
    for rule in ("simultaneous", "alternating", "extragradient", *curved):
        methods[rule] = method(RATE, rule)
    methods.sga = method(RATE)
    symplectic(methods.sga, 0.5)
    methods.adam = method(RATE)
    for player in methods.adam.optimizers:
        methods.adam.optimizers[player] = optimizer("adam", 0.05, b1=0.0)
    return config
