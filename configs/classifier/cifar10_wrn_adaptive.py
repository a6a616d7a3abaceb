"""Wide ResNet 40-4 on CIFAR-10 with Adam, and with the other adaptive baselines of the ALI-G paper.

    ./run.sh train --config=configs/classifier/cifar10_wrn_adaptive.py

All of them: configs/sweeps/alig_baselines.py.
"""

from configs import common
from configs.classifier import cifar10_wrn_sgd


def get_config():
    config = cifar10_wrn_sgd.get_config()
    config.classifier.optimizer = common.optimizer("adam", 1e-3)
    return config
