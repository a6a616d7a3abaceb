"""x"""

from configs.gan.base import base, optimizer


def get_config():
    config = base()
    config.dataset.name = "ring8"
    config.num_steps = 20_000
    config.batch_size = 512
    config.gan.nets = "mlp"
    config.gan.num_latents = 32
    config.eval.best_metric = "captured_modes"
    return config
