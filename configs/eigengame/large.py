"""256 components of 1,000 features, batches of 4,096: the large example of the papers' public code.

./run.sh train --config=configs/eigengame/large.py
"""

from configs.eigengame import linear_spectrum


def get_config():
    config = linear_spectrum.get_config()
    config.dataset.name = "exponential_spectrum"
    config.dataset.kwargs.d = 1000
    config.batch_size = 4096
    config.eigengame.k = 256
    return config
