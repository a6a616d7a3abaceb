"""Base of all classifier configs: what each field of the `classifier` section means."""

from ml_collections import ConfigDict

from configs import common


def base() -> ConfigDict:
    """A small convolutional net with Adam."""
    config = common.base()
    config.experiment = "classifier"
    config.classifier = ConfigDict()
    cnn = config.classifier.cnn = ConfigDict()
    cnn.channels = (32, 64)  # of the 3x3 convolutions, each followed by 2x2 max pooling
    cnn.hidden = 128  # width of the dense layer; its activations are the evaluator's features
    cnn.dropout = 0.25
    config.classifier.optimizer = common.optimizer("adam", 1e-3)  # its fields: configs/common.py
    return config
