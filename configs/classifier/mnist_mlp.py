"""MLP 784-1000-1000-10 on MNIST with SGD-HD: the second experiment of the hypergradient paper, 100 epochs.

    ./run.sh train --config=configs/classifier/mnist_mlp.py

For another number of epochs: --config.num_epochs=20. All six methods: configs/sweeps/hypergradient.py.
Results: docs/hypergradient.md.
"""

from configs import common
from configs.classifier import mnist_logreg


def get_config():
    config = mnist_logreg.get_config()
    config.num_steps = 100 * mnist_logreg.EPOCH
    config.classifier.model = common.named("mlp")
    return config
