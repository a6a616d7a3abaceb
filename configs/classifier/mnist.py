"""Small CNN on MNIST: over 99% test accuracy, and the network that scores MNIST GANs.

    ./run.sh train --config=configs/classifier/mnist.py

Measured: 99.20% after 2,500 steps, 449 s on 2 busy CPU cores.
"""

from configs.classifier.base import base


def get_config():
    config = base()
    config.dataset.name = "mnist"
    config.eval.classifier = "classifier/mnist"
    config.num_steps = 2_500
    config.eval_every = 500
    config.checkpoint_every = 500
    return config
