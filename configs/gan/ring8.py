"""Small dense GAN on a ring of 8 Gaussians: alternating Adam, non-saturating loss.

Metz et al., 'Unrolled Generative Adversarial Networks', ICLR 2017: the ring. Networks, latents and batch
are those of Qin et al., NeurIPS 2020 (see grid16.py).

    ./run.sh train --config=configs/gan/ring8.py

Measured: TODO
"""

from configs.gan.base import base, optimizer


def get_config():
    config = base()
    config.dataset.name = "ring8"
    config.num_steps = 10_000
    config.batch_size = 512
    config.figures_every = 2_000
    config.checkpoint_every = 2_000
    config.eval.best_metric = "captured_modes"
    config.gan.nets = "mlp"
    config.gan.num_latents = 32
    config.gan.gen_loss = "non_saturating"
    config.gan.updates = "alternating"
    config.gan.optimizers.disc = optimizer("adam", 1e-3, b1=0.5)
    config.gan.optimizers.gen = optimizer("adam", 1e-3, b1=0.5)
    return config
