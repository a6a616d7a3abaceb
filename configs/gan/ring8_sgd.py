"""A ring of 8 Gaussians with simultaneous SGD on the zero-sum loss: modes are found, lost, and collapse.

The setting of ring8.py without what makes it easy: the drift of simultaneous updates can be seen at work.

    ./run.sh train --config=configs/gan/ring8_sgd.py

Measured: 6,000 steps in 15 s on 2 CPU cores; samples near all modes at step 4,000, none captured, and most
on one or two modes at the end (docs/discretisation_drift.md).
"""

from configs.common import optimizer
from configs.gan import ring8


def get_config():
    config = ring8.get_config()
    config.num_steps = 6_000
    config.gan.gen_loss = "saturating"
    config.gan.updates = "simultaneous"
    config.gan.optimizers.disc = optimizer("sgd", 0.1)
    config.gan.optimizers.gen = optimizer("sgd", 0.1)
    return config
