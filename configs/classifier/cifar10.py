"""Small CNN on CIFAR-10, and what scores CIFAR-10 GANs with eval.network=checkpoint.

./run.sh train --config=configs/classifier/cifar10.py
"""

from configs import common
from configs.classifier.base import base


def get_config():
    config = base()
    config.dataset.name = "cifar10"
    config.eval.classifier = "classifier/cifar10"
    config.classifier.model = common.named("cnn", channels=(32, 64, 128))
    config.num_steps = 8_000
    return config
