"""Fashion-MNIST, alternating SGD with a momentum of -0.5 for both players.

Gidel et al., 'Negative Momentum for Improved Game Dynamics', AISTATS 2019: the saturating loss.

    ./run.sh train --config=configs/gan/fashion_mnist_negative_momentum.py
"""

from configs.gan import mnist_plain
from configs.play import negative_momentum


def get_config():
    config = mnist_plain.get_config()
    config.dataset.name = "fashion_mnist"
    config.eval.classifier = "classifier/fashion_mnist"
    negative_momentum(config.gan, disc=-0.5, gen=-0.5)
    return config
