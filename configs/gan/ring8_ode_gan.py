"""ODE-GAN on a ring of 8 Gaussians: Runge-Kutta 4 at 0.1, and the generator's gradient norm at 0.07.

Qin et al., 'Training Generative Adversarial Networks by Solving Ordinary Differential Equations', NeurIPS
2020, whose picture is of a grid of 16 (grid16.py).

    ./run.sh train --config=configs/gan/ring8_ode_gan.py

Measured: 6,000 steps in 37 s on 2 CPU cores; between 1 and 5 of the 8 modes from step 2,000 on, 2 at the
end.
"""

from configs.gan import ring8_sgd
from configs.play import ode_gan


def get_config():
    config = ring8_sgd.get_config()
    ode_gan(config.gan, weight=0.07)
    return config
