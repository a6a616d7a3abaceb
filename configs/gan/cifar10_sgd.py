"""Spectral-norm DCGAN on CIFAR-10: simultaneous SGD, interaction drift cancelled (the paper's main run).

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021: SGD without momentum,
learning rates 1e-2 and 5e-3, zero-sum loss, batch 128 for each player, 300k steps. Meant for an
accelerator.

    ./run.sh train --config=configs/gan/cifar10_sgd.py
"""

from configs import common
from configs.gan.base import base
from configs.play import cancel_interaction_drift


def get_config():
    config = base()
    config.dataset.name = "cifar10"
    config.eval.network = "inception"
    config.eval.classifier = "classifier/cifar10"
    config.gan.nets = common.named("cifar10")
    config.gan.spectral_norm = "power_iteration"
    config.gan.player_batches = "separate"
    config.gan.diagnostics = ("gradient_norms",)
    config.num_steps = 300_000
    config.eval_every = 5_000
    config.figures_every = 5_000
    config.checkpoint_every = 5_000
    cancel_interaction_drift(config.gan)
    return config
