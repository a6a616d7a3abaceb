"""The 16 principal components of MNIST by EigenGame Unloaded (mu), batches of 1,024.

./run.sh train --config=configs/eigengame/mnist_mu.py
"""

from configs.eigengame.base import base


def get_config():
    config = base()
    config.dataset.name = "mnist"
    config.batch_size = 1024
    config.num_steps = 3_000
    config.eval_every = 50
    config.eigengame.optimizer.learning_rate = 0.03
    return config
