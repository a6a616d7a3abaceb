"""DCGAN on MNIST that makes digits of all classes: batch statistics, alternating Adam with b1 = 0.5.

Radford, Metz, Chintala, ICLR 2016: their recipe, at a width for two CPU cores.

    ./run.sh train --config=configs/gan/mnist.py

Measured on 2 CPU cores, not quite idle: 3,000 steps in 8 min 43 s; Frechet distance 51.2 +- 2.4 (mnist_cnn,
10,000 samples in 5 parts; real images 3.8), classes of the samples 8 to 13% each. Learning rates that decay
to 0 by a cosine over 3,300 steps are worse: 82.6 +- 1.2.
"""

from configs.common import named, optimizer
from configs.gan.base import base


def get_config():
    config = base()
    config.dataset.name = "mnist"
    config.eval.classifier = "classifier/mnist"
    config.eval.num_samples = 10_000
    config.batch_size = 64
    config.num_steps = 4_000
    config.figures_every = 1_000
    config.gan.nets = named("dcgan", width=32)
    config.gan.num_latents = 64
    config.gan.updates = "alternating"
    config.gan.gen_loss = "non_saturating"
    config.gan.optimizers.disc = optimizer("adam", 2e-4, b1=0.5)
    config.gan.optimizers.gen = optimizer("adam", 1e-3, b1=0.5)
    return config
