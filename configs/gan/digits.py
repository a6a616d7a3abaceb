"""Small DCGAN on 8x8 digits: simultaneous SGD, interaction drift cancelled (the default config).

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021: the setting of the
paper's default, on scikit-learn's built-in digits.

    ./run.sh train

Measured: 12,000 steps in 78 s on 2 idle CPU cores; digits of all classes, at a Frechet distance of
17.2 +- 1.5 (digits_cnn, 5 x 1,500 samples) with a floor of 3.0 and a ceiling of 167.
"""

from configs.gan.base import base
from configs.play import cancel_interaction_drift


def get_config():
    config = base()
    config.num_steps = 12_000
    config.batch_size = 64
    config.log_every = 200
    config.eval_every = 2_000
    config.figures_every = 2_000
    config.checkpoint_every = 2_000
    config.eval.num_samples = 7_500  # in each of 5 splits as many as there are real images to train on
    config.gan.num_latents = 32
    config.gan.optimizers.disc.learning_rate = 0.05
    config.gan.optimizers.gen.learning_rate = 0.05
    cancel_interaction_drift(config.gan)
    return config
