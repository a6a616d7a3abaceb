"""DCGAN on MNIST that makes digits with simultaneous SGD: spectral norm, batch statistics in the generator.

The family of Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021, on their
zero-sum loss, with rates that configs/sweeps/mnist_sgd_search.py found.

    ./run.sh train --config=configs/gan/mnist_spectral_sgd.py
"""

from configs.common import named
from configs.gan.base import base


def get_config():
    config = base()
    config.dataset.name = "mnist"
    config.eval.classifier = "classifier/mnist"
    config.batch_size = 64
    config.num_steps = 4_000
    config.checkpoint_every = 1_000
    config.figures_every = 1_000
    config.gan.nets = named("dcgan", width=16, kernel=4)
    config.gan.spectral_norm = "power_iteration"
    config.gan.diagnostics = ("gradient_norms",)
    config.gan.optimizers.disc.learning_rate = 0.1
    config.gan.optimizers.gen.learning_rate = 0.1
    return config
