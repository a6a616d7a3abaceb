"""Small dense GAN on a 4 x 4 grid of Gaussians: alternating Adam, non-saturating loss.

Qin et al., 'Training Generative Adversarial Networks by Solving Ordinary Differential Equations', NeurIPS
2020: the grid, 2 x 25 hidden units, 32 latents, batch 512. There the units are ReLU and the players follow
their flow by Runge-Kutta on the zero-sum loss; here they are tanh, and Adam is the plain baseline.

    ./run.sh train --config=configs/gan/grid16.py

Measured: 20,000 steps in 44 to 80 s on 2 CPU cores; seed 0 ends with all 16 modes (from step 18,000 on),
seed 1 with 13, both with 80% of the samples within three standard deviations of one.
"""

from configs.gan import ring8


def get_config():
    config = ring8.get_config()
    config.dataset.name = "grid16"
    config.num_steps = 20_000
    config.figures_every = 4_000
    config.checkpoint_every = 4_000
    return config
