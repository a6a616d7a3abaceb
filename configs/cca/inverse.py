"""The inverse of a covariance from its eigenvectors, the smallest first: I v = lambda C v.

./run.sh train --config=configs/cca/inverse.py

A problem of the code of Gemp, Chen, McWilliams, ICLR 2023, on a 16 x 16 covariance whose eigenvalues fall
from 4 to 1. `inverse.npy` is the sum of v v^T over all 16 vectors with v^T C v = 1; with
fewer vectors it is not written.
"""

from configs.cca.base import base


def get_config():
    config = base()
    config.dataset.name = "linear_spectrum"
    config.dataset.kwargs = {"d": 16, "largest": 4.0, "smallest": 1.0}
    config.batch_size = 1_024
    config.num_steps = 4_000
    config.eval_every = 500
    config.cca.problem = "inverse"
    config.cca.k = 16
    config.cca.epsilon = 0.0
    config.cca.optimizer.learning_rate = 0.05
    config.cca.optimizer.schedule.name = "cosine_decay_schedule"
    config.cca.optimizer.schedule.kwargs = {"decay_steps": config.num_steps}
    return config
