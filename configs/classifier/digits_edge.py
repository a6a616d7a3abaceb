"""Full-batch gradient descent at the edge of stability: a tanh MLP on 500 digits.

Cohen, Kaur, Li, Kolter, Talwalkar: Gradient descent on neural networks typically occurs at the edge of stability,
ICLR 2021, arXiv 2103.00065.

    ./run.sh train --config=configs/classifier/digits_edge.py
    ./run.sh plot sharpness runs/classifier/digits_edge
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
    config.classifier.model = "mlp"
    config.classifier.mlp.hidden = (64,) * 6
    config.classifier.mlp.activation = "tanh"
    config.classifier.optimizer = common.optimizer("sgd", 0.1)
    return config
