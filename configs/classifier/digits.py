"""Small CNN on 8x8 digits: the network that scores the digits GAN.

    ./run.sh train --config=configs/classifier/digits.py

Measured: 10 s on 2 CPU cores.
"""

from configs.classifier.base import base


def get_config():
    config = base()
    config.num_steps = 1_500
    config.batch_size = 64
    config.eval_every = 500
    config.checkpoint_every = 500
    return config
