"""Small DCGAN on 8x8 digits: alternating Adam, the baseline of the discretisation drift page.

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021, with the paper's Adam
settings but the rate, on scikit-learn's digits.

    ./run.sh train --config=configs/gan/digits_adam.py
"""

from configs.common import optimizer
from configs.gan import digits
from configs.play import keep_drift


def get_config():
    config = digits.get_config()
    config.gan.updates = "alternating"
    config.gan.optimizers.disc = optimizer("adam", 1e-3, b1=0.5)
    config.gan.optimizers.gen = optimizer("adam", 1e-3, b1=0.5)
    keep_drift(config.gan)
    return config
