"""Logistic regression on MNIST with SGD-HD: the first experiment of the hypergradient paper, 10 epochs.

    ./run.sh train --config=configs/classifier/mnist_logreg.py

Measured: 91.9% test accuracy (mean of three seeds), 20 to 30 s beside a second run on two CPU cores. For
another number of epochs: --config.num_epochs=20. All six methods: configs/sweeps/hypergradient.py. Results:
docs/hypergradient.md.
"""

from configs import common
from configs.classifier.base import base

EPOCH = 469  # steps, of batches of 128


def get_config():
    config = base()
    config.dataset.name = "mnist"
    config.num_steps = 10 * EPOCH
    config.batch_size = 128
    config.log_every = 67  # divides an epoch
    config.epoch_means = True
    config.eval_every = config.checkpoint_every = EPOCH
    config.eval.classifier = "classifier/mnist"
    config.classifier.model = common.named("logistic")
    config.classifier.normalization = "standard"
    config.classifier.l2 = 1e-4
    config.classifier.optimizer = common.optimizer("sgd_hd", 1e-3)  # beta: 1e-3
    return config
