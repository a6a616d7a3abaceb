"""DCGAN on MNIST: simultaneous SGD, interaction drift cancelled.

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021, the MNIST networks.

    ./run.sh train --config=configs/gan/mnist_sgd.py
"""

from configs.gan.base import base, cancel_interaction_drift


def get_config():
    config = base()
    config.dataset.name = "mnist"
    config.eval.classifier = "classifier/mnist"
    config.gan.nets = "mnist"
    config.num_steps = 20_000
    config.figures_every = 1_000
    config.gan.optimizers.disc.learning_rate = 1e-2
    config.gan.optimizers.gen.learning_rate = 1e-2
    cancel_interaction_drift(config)
    return config
