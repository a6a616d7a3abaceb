"""CIFAR-10, simultaneous SGD, interaction drift cancelled and both self terms of the drift doubled.

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021, the self terms
strengthened. Meant for an accelerator.

    ./run.sh train --config=configs/gan/cifar10_strong_self.py
"""

from configs.gan import cifar10_sgd


def get_config():
    config = cifar10_sgd.get_config()
    for player in ("disc", "gen"):
        config.gan.grad_regularizes.dd_coeffs_multiplier[player].self_norm = 1.0
    return config
