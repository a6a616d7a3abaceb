"""DCGAN on MNIST: simultaneous SGD, the drift as it is.

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021, the MNIST networks.

    ./run.sh train --config=configs/gan/mnist_plain.py
"""

from configs.gan import mnist_sgd
from configs.play import keep_drift


def get_config():
    config = mnist_sgd.get_config()
    keep_drift(config.gan)
    return config
