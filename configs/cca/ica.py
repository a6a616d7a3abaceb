"""Independent components of a mixture of Laplace and uniform sources, by their kurtosis.

./run.sh train --config=configs/cca/ica.py

The generalised eigenvalue problem of Gemp, Chen, McWilliams, ICLR 2023, section 5: its eigenvectors are the
rows of the matrix that unmixes. The four Laplace sources come first; --config.cca.maximize=False finds the
four uniform ones.
"""

from configs.cca.base import base


def get_config():
    config = base()
    config.dataset.name = "mixed_sources"
    config.batch_size = 2_048
    config.num_steps = 4_000
    config.eval_every = 500
    config.cca.problem = "ica"
    config.cca.k = 4
    config.cca.epsilon = 0.0
    config.cca.optimizer.learning_rate = 0.003
    config.cca.optimizer.schedule.name = "cosine_decay_schedule"
    config.cca.optimizer.schedule.kwargs = {"decay_steps": config.num_steps}
    return config
