"""Wide ResNet 40-4 on CIFAR-10 with ALI-G: 200 epochs, max_lr 1, all parameters in a ball of radius 100.

    ./run.sh train --config=configs/classifier/cifar10_wrn.py

SGD with its schedule: configs/classifier/cifar10_wrn_sgd.py; adaptive baselines:
configs/sweeps/alig_baselines.py. It needs an accelerator.
"""

from configs import common
from configs.classifier.base import base

TRAIN, VALIDATION = 45_000, 5_000


def alig(
    config, max_lr: float, max_norm: float, epochs: int, batch_size: int, train: int = TRAIN, **kwargs
):
    """Sets ALI-G with the settings of one of the paper's runs, and returns the config."""
    config.batch_size = batch_size
    epoch = -(-train // batch_size)
    config.num_steps = epochs * epoch
    config.log_every = config.eval_every = config.checkpoint_every = epoch
    config.classifier.optimizer = common.optimizer("alig", max_lr, max_norm=max_norm, **kwargs)
    return config


def get_config():
    config = base()
    config.dataset.name = "cifar10"
    config.dataset.validation_size = VALIDATION
    config.dataset.eval_split = "validation"
    config.eval.classifier = "classifier/cifar10"
    config.classifier.model = common.named("wide_resnet")
    config.classifier.normalization = "standard"
    config.classifier.augmentation.crop_padding = 4
    config.classifier.augmentation.flip = True
    return alig(config, max_lr=1.0, max_norm=100.0, epochs=200, batch_size=256, momentum=0.9)
