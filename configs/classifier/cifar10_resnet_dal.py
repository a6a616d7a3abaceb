"""ResNet-18 on CIFAR-10 with DAL-1: the rate follows the curvature along the gradient.

    ./run.sh train --config=configs/classifier/cifar10_resnet_dal.py

Several p: configs/sweeps/dal.py. It needs an accelerator.
"""

from configs import common
from configs.classifier import cifar10_vgg


def get_config():
    config = cifar10_vgg.get_config()
    config.classifier.model = common.named("resnet18")
    config.classifier.l2 = 0.0
    config.classifier.optimizer = common.optimizer("dal", 2.0, p=1.0, cap=5.0)
    return config
