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
    config.num_steps = 1_500
    config.batch_size = 500
    config.log_every = 10
    config.eval_every = 500
    config.checkpoint_every = 50
    config.keep_checkpoints = 30
    config.classifier.model = "mlp"
    config.classifier.mlp.hidden = (32, 32)
    config.classifier.mlp.activation = "tanh"
    config.classifier.optimizer = common.optimizer("sgd", 0.2)
    return config
