"""DenseNet 40-40 on CIFAR-10 with ALI-G: 300 epochs, max_lr 0.1, all parameters in a ball of radius 75.

./run.sh train --config=configs/classifier/cifar10_densenet.py
"""

from configs import common
from configs.classifier import cifar10_wrn


def get_config():
    config = cifar10_wrn.get_config()
    config.classifier.model = common.named("densenet")
    return cifar10_wrn.alig(config, max_lr=0.1, max_norm=75.0, epochs=300, batch_size=64, momentum=0.9)
