"""Small dense GAN on a ring of 8 Gaussians: alternating Adam, non-saturating loss.

Metz et al., 'Unrolled Generative Adversarial Networks', ICLR 2017: the ring. Networks, latents and batch
are those of Qin et al., NeurIPS 2020 (see grid16.py).

    ./run.sh train --config=configs/gan/ring8.py

Measured: 10,000 steps in 40 s on 2 CPU cores; seeds 0 and 1 have all 8 modes from step 4,000 on, and at the
end 82% of the samples within three standard deviations of one (of real points: 98.9%). With the zero-sum
loss and alternating SGD at 0.1, no mode was captured in 8,000 steps.
"""

from configs import common
from configs.common import optimizer
from configs.gan.base import base


def get_config():
    config = base()
    config.dataset.name = "ring8"
    config.num_steps = 10_000
    config.batch_size = 512
    config.figures_every = 2_000
    config.checkpoint_every = 2_000
    config.eval.best_metric = "captured_modes"
    config.gan.nets = common.named("mlp")
    config.gan.num_latents = 32
    config.gan.gen_loss = "non_saturating"
    config.gan.updates = "alternating"
    config.gan.optimizers.disc = optimizer("adam", 1e-3, b1=0.5)
    config.gan.optimizers.gen = optimizer("adam", 1e-3, b1=0.5)
    return config
