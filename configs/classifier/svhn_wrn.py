"""Wide ResNet 16-4 on SVHN with ALI-G: 160 epochs, max_lr 0.01, dropout 0.4, no augmentation, no momentum.

./run.sh train --config=configs/classifier/svhn_wrn.py
"""

from configs import common
from configs.classifier import cifar10_wrn

TRAIN, VALIDATION = 598_388, 6_000  # of train and extra, 604,388 images; validation is of train alone


def get_config():
    config = cifar10_wrn.get_config()
    config.dataset.name = "svhn_cropped"
    config.dataset.train_split = f"train[{VALIDATION}:]+extra"
    config.dataset.eval_split = f"train[:{VALIDATION}]"
    config.dataset.validation_size = 0
    config.classifier.augmentation.crop_padding = 0
    config.classifier.augmentation.flip = False
    config.classifier.normalization = "unit"
    config.classifier.model = common.named("wide_resnet", depth=16, dropout=0.4)
    return cifar10_wrn.alig(config, max_lr=0.01, max_norm=50.0, epochs=160, batch_size=128, train=TRAIN)
