"""CIFAR-10, alternating SGD with a momentum of -0.5 for both players.

Gidel et al., 'Negative Momentum for Improved Game Dynamics', AISTATS 2019: the saturating loss, on the
networks of Rosca et al. 2021. Meant for an accelerator.

    ./run.sh train --config=configs/gan/cifar10_negative_momentum.py
"""

from configs.gan import cifar10_plain
from configs.play import negative_momentum


def get_config():
    config = cifar10_plain.get_config()
    negative_momentum(config.gan, disc=-0.5, gen=-0.5)
    return config
