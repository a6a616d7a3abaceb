"""8 canonical correlations of the left with the right half of 8x8 digits.

./run.sh train --config=configs/cca/digits.py
"""

from configs.cca.base import base


def get_config():
    config = base()
    config.num_steps = 4_000
    config.eval_every = 200
    return config
