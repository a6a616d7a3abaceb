"""The Dirac GAN, a discriminator and a generator of one number each: what stabilises it.

    ./run.sh train --config=configs/games/dirac_gan.py

Mescheder, Geiger, Nowozin, 'Which Training Methods for GANs do actually Converge?', ICML 2018.
"""

from configs.games.base import base, method
from configs.play import consensus, negative_momentum, ode_gan

RATE = 0.4


def get_config():
    config = base("dirac_gan", [(1.0, 0.5), (-0.2, 0.6)])
    config.num_steps = 400
    methods = config.games.methods
    for rule in ("simultaneous", "alternating", "extragradient"):
        methods[rule] = method(RATE, rule)
    for name in ("negative_momentum", "consensus", "ode_gan"):
        methods[name] = method(RATE)
    negative_momentum(methods.negative_momentum, disc=-0.5, gen=-0.5)
    consensus(methods.consensus, 0.5)
    ode_gan(methods.ode_gan, 0.5)
    return config
