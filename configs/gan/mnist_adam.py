"""DCGAN on MNIST: Adam, spectral norm, non-saturating loss; strokes of digits after 3,000 steps.

Not of the paper: the setting with which its MNIST networks make digits soonest.

    ./run.sh train --config=configs/gan/mnist_adam.py

Measured: 5,000 steps at 8.8 steps/s on 2 CPU cores; at step 4,000 of a
shorter run 59% of the samples are taken for ones (docs/evaluation.md).
"""

from configs.common import optimizer
from configs.gan import mnist_sgd
from configs.play import keep_drift


def get_config():
    config = mnist_sgd.get_config()
    config.num_steps = 5_000
    config.batch_size = 64
    config.figures_every = 500
    config.checkpoint_every = 500
    config.gan.spectral_norm = "power_iteration"
    config.gan.gen_loss = "non_saturating"
    config.gan.optimizers.disc = optimizer("adam", 5e-4)
    config.gan.optimizers.gen = optimizer("adam", 5e-4)
    keep_drift(config.gan)
    return config
