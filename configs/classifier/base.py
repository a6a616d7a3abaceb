"""Base of all classifier configs: what each field of the `classifier` section means."""

from ml_collections import ConfigDict

from configs import common


def base() -> ConfigDict:
    """A small convolutional net with Adam; images in [-1, 1], nothing augmented or regularised."""
    config = common.base()
    config.experiment = "classifier"
    config.classifier = classifier = ConfigDict()
    # logistic, mlp, cnn, vgg16 (from 32x32), wide_resnet, densenet, resnet18: lib/nets. The sections of the
    # others are not read.
    classifier.model = "cnn"
    # Widths of the hidden layers; relu or tanh, which has all derivatives.
    classifier.mlp = ConfigDict({"hidden": (1000, 1000), "activation": "relu"})
    cnn = classifier.cnn = ConfigDict()
    cnn.channels = (32, 64)  # of the 3x3 convolutions, each followed by 2x2 max pooling
    cnn.hidden = 128  # width of the dense layer; its activations are the evaluator's features
    cnn.dropout = 0.25
    # Dense layers before the logits, with dropout before each.
    classifier.vgg = ConfigDict({"hidden": (512, 512), "dropout": 0.5, "batch_norm": True})
    classifier.wide_resnet = ConfigDict({"depth": 40, "width": 4, "dropout": 0.0})  # depth 6 n + 4
    # Depth 6 n + 4 with bottlenecks (DenseNet-BC), 3 n + 4 without.
    classifier.densenet = ConfigDict({"depth": 40, "growth": 40, "bottleneck": True})

    # What the network sees, in training and after: signed ([-1, 1]), unit ([0, 1]), standard (mean 0 and
    # standard deviation 1 of each channel over the training images; the numbers are kept in checkpoints).
    classifier.normalization = "signed"
    classifier.augmentation = ConfigDict()  # of training images alone, drawn anew in every step
    # Zeros around the image, of which a window of its own size is taken at random; 0: off.
    classifier.augmentation.crop_padding = 0
    classifier.augmentation.flip = False  # left and right, of half of the images

    # Of the training loss: (1 - label_smoothing) on the true class, the rest on all classes alike.
    classifier.label_smoothing = 0.0
    # Adds l2 * w to the gradient, for every parameter w. The loss that is recorded, and that optimisers and
    # their line searches see, is without it.
    classifier.l2 = 0.0
    classifier.optimizer = common.optimizer("adam", 1e-3)  # its fields: configs/common.py
    return config
