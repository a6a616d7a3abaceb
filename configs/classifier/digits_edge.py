"""Full-batch gradient descent at the edge of stability: a tanh MLP on 500 digits.

Cohen, Kaur, Li, Kolter, Talwalkar: Gradient descent on neural networks typically occurs at the edge of
stability, ICLR 2021, arXiv 2103.00065.

    ./run.sh train --config=configs/classifier/digits_edge.py
    ./run.sh plot sharpness runs/classifier/digits_edge

Measured: 900 steps in 5 s on 2 CPU cores, start apart. The Hessian's largest eigenvalue rises from 0.2 to
2/h = 20 within 150 steps, hovers about it (28 at the most) for 300 more, and falls as the cross entropy
nears 0. Several rates, and DAL: configs/sweeps/edge_of_stability.py.
"""

from configs import common
from configs.classifier.base import base


def get_config():
    config = base()
    config.dataset.train_split = "train[:500]"
    config.num_steps = 900
    config.batch_size = 500
    config.log_every = 5
    config.eval_every = 300
    config.checkpoint_every = 30
    config.keep_checkpoints = 30
    config.classifier.model = common.named("mlp", hidden=(64,) * 6, activation="tanh")
    config.classifier.optimizer = common.optimizer("sgd", 0.1)
    return config
