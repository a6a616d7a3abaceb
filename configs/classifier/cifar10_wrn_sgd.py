"""Wide ResNet 40-4 on CIFAR-10, the SGD of the ALI-G paper: 0.1, times 0.2 after 60, 120 and 160 epochs.

./run.sh train --config=configs/classifier/cifar10_wrn_sgd.py
"""

from configs import common
from configs.classifier import cifar10_wrn

EPOCH = 352  # steps, of batches of 128


def get_config():
    config = cifar10_wrn.get_config()
    config.batch_size = 128
    config.num_steps = 200 * EPOCH
    config.log_every = config.eval_every = config.checkpoint_every = EPOCH
    config.classifier.l2 = 5e-4
    config.classifier.optimizer = common.optimizer("sgd", 0.1, momentum=0.9, nesterov=True)
    config.classifier.optimizer.schedule = common.named(
        "piecewise_constant_schedule",
        boundaries_and_scales=tuple((epochs * EPOCH, 0.2) for epochs in (60, 120, 160)),
    )
    return config
