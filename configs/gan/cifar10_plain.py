"""CIFAR-10, the main run with the drift as it is: simultaneous SGD without cancellation.

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021. Meant for an accelerator.

    ./run.sh train --config=configs/gan/cifar10_plain.py
"""

from configs.gan import cifar10_sgd
from configs.play import keep_drift


def get_config():
    config = cifar10_sgd.get_config()
    keep_drift(config.gan)
    return config
