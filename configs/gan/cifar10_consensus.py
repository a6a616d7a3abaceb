"""Consensus optimisation on CIFAR-10: both players also descend the norm of the joint gradient.

Mescheder, Nowozin, Geiger, 'The Numerics of GANs', NeurIPS 2017, on the networks of Rosca et al. 2021.
Meant for an accelerator.

    ./run.sh train --config=configs/gan/cifar10_consensus.py
"""

from configs.gan import cifar10_plain
from configs.play import consensus


def get_config():
    config = cifar10_plain.get_config()
    consensus(config.gan, weight=0.01)
    return config
