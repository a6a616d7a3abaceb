"""The 16 principal components of CIFAR-10 by EigenGame Unloaded.

./run.sh train --config=configs/eigengame/cifar10.py
"""

from configs.eigengame import mnist_mu


def get_config():
    config = mnist_mu.get_config()
    config.dataset.name = "cifar10"
    config.eigengame.optimizer.learning_rate = 0.01
    return config
