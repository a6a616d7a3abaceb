"""The 16 principal components of CIFAR-10 by EigenGame Unloaded.

    ./run.sh train --config=configs/eigengame/cifar10.py

Measured with 4,000 of the images: see docs/eigengame.md.
"""

from configs.eigengame import mnist_mu


def get_config():
    config = mnist_mu.get_config()
    config.dataset.name = "cifar10"
    config.num_steps = 6_000
    config.eigengame.optimizer.learning_rate = 0.02
    return config
