"""How well a GAN's discriminator tells held-out data and samples apart, and the modes of the samples."""

import jax
import jax.numpy as jnp

from experiments.gan import modes
from experiments.gan.nets import Nets
from lib.data.distributions import Mixture
from lib.data.pipeline import to_signed
from lib.experiment import Batch
from lib.games.updates import GameState
from lib.runtime.devices import device_share, psum


def eval_step(nets: Nets, mixture: Mixture | None, state: GameState, batch: Batch, key: jax.Array):
    """Returns {name: (sum, count)} of a batch's accuracies and logits; the same on any devices.

    With a mixture, also the samples at each of its modes.
    """
    mask = batch["mask"]
    latents = device_share(lambda n: nets.latents(key, n), len(mask))
    fake, _ = nets.generate(state.params, state.net_state, latents, train=False)
    disc, _, _ = nets.discriminator(state.params, state.net_state)
    on_real, on_fake = disc(to_signed(batch["image"])), disc(fake)
    sums = {
        "real_accuracy": jnp.sum(mask * (on_real > 0)),
        "fake_accuracy": jnp.sum(mask * (on_fake < 0)),
        "real_logit": jnp.sum(mask * on_real),
        "fake_logit": jnp.sum(mask * on_fake),
    }
    if mixture is not None:
        sums |= modes.sums(fake, mask, mixture)
    return psum({name: (total, mask.sum()) for name, total in sums.items()})
