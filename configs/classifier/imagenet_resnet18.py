"""ResNet-18 on ImageNet with ALI-G: 90 epochs, max_lr 10, all parameters in a ball of radius 400.

    ./run.sh train --config=configs/classifier/imagenet_resnet18.py
    ./run.sh eval --config.restore_path=runs/classifier/imagenet_resnet18 \
      --config.dataset.eval_split='validation[:]'

Berrada, Zisserman, Kumar, 'Training Neural Networks for and by Interpolation', ICML 2020. The loss is the
truncated top-5 cross entropy, nothing is augmented, and 50,000 training images are held out. The second
command scores the run on ImageNet's own validation images, the paper's test set.

TFDS makes `imagenet2012`, about 155 GB, of archives that have to be downloaded by hand. The first run cuts
squares of 224x224 out of its images and caches them: 193 GB, and 7.5 GB more for the second command. They
are streamed from disk, which has to be a fast one. The activations of a step take up to 44 GB over all
accelerators. Images are scaled to [-1, 1], not by each channel's mean and deviation.
"""

from ml_collections import ConfigDict

from configs import alig, common
from configs.classifier.base import base

TRAIN, VALIDATION = 1_231_167, 50_000


def get_config():
    config = base()
    config.dataset.name = "imagenet2012"
    config.dataset.kwargs = ConfigDict({"size": 224})
    config.dataset.validation_size = VALIDATION
    config.dataset.eval_split = "validation"
    config.classifier.model = common.named("resnet18", stem="imagenet")
    config.classifier.loss = common.named("top_k_entropy")
    config.classifier.optimizer = common.optimizer("alig", 10.0, max_norm=400.0)
    config.update(alig.length(90, 1024, TRAIN))
    return config
