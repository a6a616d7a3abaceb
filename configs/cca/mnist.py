"""8 canonical correlations of the left with the right half of MNIST, batches of 256.

./run.sh train --config=configs/cca/mnist.py
"""

from configs.cca.base import base


def get_config():
    config = base()
    config.dataset.name = "mnist"
    config.batch_size = 256
    config.num_steps = 4_000
    config.eval_every = 500
    config.cca.epsilon = 0.1
    config.cca.optimizer.learning_rate = 0.1
    return config
