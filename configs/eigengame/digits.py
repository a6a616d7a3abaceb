"""The 16 principal components of 8x8 digits by EigenGame Unloaded.

    ./run.sh train --config=configs/eigengame/digits.py

Measured: all 16 after 3,000 steps; 5 s on two CPU cores.
"""

from configs.eigengame.base import base


def get_config():
    config = base()
    config.num_steps = 4_000
    config.eigengame.optimizer.learning_rate = 0.1
    return config
