"""DCGAN on CIFAR-10: alternating Adam without spectral norm (the paper's baseline).

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021: learning rates 1e-4,
b1 0.5, 600k steps. Meant for an accelerator.

    ./run.sh train --config=configs/gan/cifar10_adam.py
"""

from configs.common import optimizer
from configs.gan import cifar10_sgd
from configs.play import keep_drift


def get_config():
    config = cifar10_sgd.get_config()
    config.num_steps = 600_000
    config.gan.spectral_norm = "none"
    config.gan.updates = "alternating"
    config.gan.optimizers.disc = optimizer("adam", 1e-4, b1=0.5)
    config.gan.optimizers.gen = optimizer("adam", 1e-4, b1=0.5)
    keep_drift(config.gan)
    return config
