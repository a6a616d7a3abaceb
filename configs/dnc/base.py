"""Base of the differentiable neural computer: what each field of the `dnc` section means."""

from ml_collections import ConfigDict

from configs import common
from configs.play import averages


def base() -> ConfigDict:
    """Returns the published networks and task: patterns of one or two vectors of 4 bits, once or twice."""
    config = common.base()
    config.experiment = "dnc"
    config.dataset.name = "none"  # sequences are made on the device
    config.batch_size = 1  # of the data set, which is none; see `sequences`
    config.log_every = config.eval_every = 100
    config.checkpoint_every = 5_000
    config.dnc = dnc = ConfigDict()
    dnc.hidden = 64  # units of the LSTM
    dnc.slots, dnc.width = 16, 16  # of the memory
    dnc.heads = 4  # that read; one writes
    dnc.clip = 20.0  # the largest magnitude of the controller's state and of the outputs

    dnc.sequences = 16  # in a training step
    dnc.bits = 4  # of each vector of a pattern
    dnc.min_length, dnc.max_length = 1, 2  # vectors of a pattern
    dnc.min_repeats, dnc.max_repeats = 1, 2  # of the pattern in the answer
    dnc.optimizer = common.optimizer("alig", 1e3)  # its fields: configs/common.py
    dnc.optimizer.clip_norm = 50.0
    dnc.averages = averages("model")  # its fields: configs/play.py
    dnc.diagnostics = ()  # metrics of the mathematics, lib/games/diagnostics.py
    return config
