"""Small CNN on Fashion-MNIST, and the network that scores Fashion-MNIST GANs.

./run.sh train --config=configs/classifier/fashion_mnist.py
"""

from configs.classifier import mnist


def get_config():
    config = mnist.get_config()
    config.dataset.name = "fashion_mnist"
    config.eval.classifier = "classifier/fashion_mnist"
    config.num_steps = 8_000
    return config
