"""MLP 784-1000-1000-10 on MNIST with DAL-1, 10 epochs.

    ./run.sh train --config=configs/classifier/mnist_dal.py

Several p: configs/sweeps/dal.py. Results: docs/dal.md.
"""

from configs import common
from configs.classifier import mnist_logreg


def get_config():
    config = mnist_logreg.get_config()
    config.classifier.model = common.named("mlp")
    config.classifier.l2 = 0.0
    config.classifier.optimizer = common.optimizer("dal", 2.0, p=1.0, cap=5.0)
    return config
