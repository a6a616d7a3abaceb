"""Symplectic gradient adjustment on CIFAR-10, with the sign of its alignment.

Balduzzi et al., 'The Mechanics of n-Player Differentiable Games', ICML 2018, on the networks of Rosca et
al. 2021. The paper of the latter has it as a regulariser: `symplectic_regularizer` of configs/play.py.
Meant for an accelerator.

    ./run.sh train --config=configs/gan/cifar10_sga.py
"""

from configs.gan import cifar10_plain
from configs.play import symplectic


def get_config():
    config = cifar10_plain.get_config()
    symplectic(config.gan, weight=0.01)
    config.gan.player_batches = "shared"  # the sign of the alignment is one of the joint gradient
    return config
