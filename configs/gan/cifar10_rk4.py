"""CIFAR-10, Runge-Kutta 4 on both players at once: the flow without drift, to fourth order.

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021: learning rates 1e-2, 300k
steps; every stage of each player sees a batch of its own. Meant for an accelerator.

    ./run.sh train --config=configs/gan/cifar10_rk4.py
"""

from configs.gan import cifar10_plain


def get_config():
    config = cifar10_plain.get_config()
    config.gan.updates = "runge_kutta_4"
    config.gan.stage_batches = "fresh"
    config.gan.optimizers.gen.learning_rate = 1e-2
    return config
