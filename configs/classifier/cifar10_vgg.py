"""VGG-16 with BatchNorm on CIFAR-10 with SGDN-HD: the hypergradient paper's third experiment, 100 epochs.

    ./run.sh train --config=configs/classifier/cifar10_vgg.py

For another number of epochs: --config.num_epochs=20. All six methods: configs/sweeps/hypergradient_vgg.py.
It needs an accelerator.
"""

from configs import common
from configs.classifier import mnist_logreg

EPOCH = 391  # steps, of batches of 128


def get_config():
    config = mnist_logreg.get_config()
    config.dataset.name = "cifar10"
    config.num_steps = 100 * EPOCH
    config.log_every = config.eval_every = config.checkpoint_every = EPOCH
    config.eval.classifier = "classifier/cifar10"
    config.classifier.model = common.named("vgg16")
    config.classifier.augmentation.crop_padding = 4
    config.classifier.augmentation.flip = True
    config.classifier.optimizer = common.optimizer("sgdn_hd", 1e-3)  # beta: 1e-3
    return config
