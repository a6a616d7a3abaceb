"""Wide ResNet 40-4 on CIFAR-100 with ALI-G: 200 epochs, max_lr 0.1, all parameters in a ball of radius 100.

./run.sh train --config=configs/classifier/cifar100_wrn.py
"""

from configs.classifier import cifar10_wrn


def get_config():
    config = cifar10_wrn.get_config()
    config.dataset.name = "cifar100"
    return cifar10_wrn.alig(config, max_lr=0.1, max_norm=100.0, epochs=200, batch_size=128, momentum=0.9)
