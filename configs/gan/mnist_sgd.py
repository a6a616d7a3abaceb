"""DCGAN on MNIST: simultaneous SGD, interaction drift cancelled.

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021, the MNIST networks and
their settings.

    ./run.sh train --config=configs/gan/mnist_sgd.py
"""

from configs.gan import mnist_plain
from configs.play import cancel_interaction_drift


def get_config():
    config = mnist_plain.get_config()
    cancel_interaction_drift(config.gan)
    return config
