"""DCGAN on MNIST as published: simultaneous SGD, the drift as it is.

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021: batch 64, learning rates
1e-2 for both players, each with a batch of its own, 100,000 steps.

    ./run.sh train --config=configs/gan/mnist_plain.py

No digits within 400 steps, and longer was not tried (docs/discretisation_drift.md); mnist.py and
mnist_spectral_sgd.py make them.
"""

from configs import common
from configs.gan.base import base


def get_config():
    config = base()
    config.dataset.name = "mnist"
    config.eval.classifier = "classifier/mnist"
    config.batch_size = 64
    config.num_steps = 100_000
    config.figures_every = 1_000
    config.gan.nets = common.named("mnist")
    config.gan.player_batches = "separate"
    config.gan.diagnostics = ("gradient_norms",)
    config.gan.grad_regularizes.estimator = "biased"
    config.gan.optimizers.disc.learning_rate = 1e-2
    config.gan.optimizers.gen.learning_rate = 1e-2
    return config
