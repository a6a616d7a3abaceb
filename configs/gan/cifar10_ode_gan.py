"""ODE-GAN on CIFAR-10: Runge-Kutta 4, and the discriminator descends the generator's gradient norm.

Qin et al., 'Training Generative Adversarial Networks by Solving Ordinary Differential Equations', NeurIPS
2020. Meant for an accelerator.

    ./run.sh train --config=configs/gan/cifar10_ode_gan.py
"""

from configs.gan import cifar10_rk4
from configs.play import ode_gan


def get_config():
    config = cifar10_rk4.get_config()
    ode_gan(config.gan, weight=0.01)
    return config
