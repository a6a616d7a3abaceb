"""DCGAN on MNIST: simultaneous SGD, interaction drift cancelled.

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021, the MNIST networks.

    ./run.sh train --config=configs/gan/mnist_sgd.py

Measured, seed 0: with these rates the discriminator wins within 400 steps (its loss is 5e-4 there) and the
samples stay blobs; 1e-3 and 1e-2 at batch 64 kept the balance for 500 steps and lost it before 1,100. For
digits use mnist_adam.py.
"""

from configs import common
from configs.gan.base import base
from configs.play import cancel_interaction_drift


def get_config():
    config = base()
    config.dataset.name = "mnist"
    config.eval.classifier = "classifier/mnist"
    config.gan.nets = common.named("mnist")
    config.num_steps = 20_000
    config.figures_every = 1_000
    config.gan.optimizers.disc.learning_rate = 1e-2
    config.gan.optimizers.gen.learning_rate = 1e-2
    cancel_interaction_drift(config.gan)
    return config
