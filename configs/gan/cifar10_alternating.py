"""CIFAR-10, alternating SGD with equal learning rates, the drift as it is.

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021: the generator's
interaction drift would vanish if the discriminator, which moves first, had half its rate. Meant for an
accelerator.

    ./run.sh train --config=configs/gan/cifar10_alternating.py
"""

from configs.gan import cifar10_plain


def get_config():
    config = cifar10_plain.get_config()
    config.gan.updates = "alternating"
    config.gan.optimizers.gen.learning_rate = 1e-2
    return config
