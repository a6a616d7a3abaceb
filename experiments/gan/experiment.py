"""A GAN as a differentiable game of a discriminator and a generator.

    z ~ N(0, I),  L_disc(D(x), D(G(z))),  L_gen(D(G(z)))

The losses, the update rule, the optimisers and the regularisers are the config's; the mathematics of
moving the players is lib/games'.
"""

import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from experiments.gan.config import PLAYERS, GanConfig
from lib import losses, optimizers
from lib.config import ConfigError, lookup
from lib.data import DataSpec
from lib.data.pipeline import to_signed
from lib.devices import device_share, psum
from lib.experiment import Batch, Experiment
from lib.games import updates
from lib.games.game import Aux, Game
from lib.games.regularizers import min_batch
from lib.games.updates import GameState
from lib.nets import gan_cifar10, gan_digits, gan_mnist, spectral_norm

NETS = {  # {name: (generator, discriminator, image shape)}
    "digits": (gan_digits.Generator, gan_digits.Discriminator, (8, 8, 1)),
    "mnist": (gan_mnist.Generator, gan_mnist.Discriminator, (28, 28, 1)),
    "cifar10": (gan_cifar10.Generator, gan_cifar10.Discriminator, (32, 32, 3)),
}
_GRID = 100  # images in a sample grid


class Nets(NamedTuple):
    """The two networks and what they are called with."""

    gen: nn.Module
    disc: nn.Module
    num_latents: int
    normalize: bool  # spectral norm on the discriminator's weights

    def latents(self, key: jax.Array, n: int) -> jax.Array:
        """z ~ N(0, I), [n, num_latents]."""
        return jax.random.normal(key, (n, self.num_latents))

    def generate(self, params, net_state, latents, train: bool):
        """(images [n, h, w, c], the generator's new net_state)."""
        variables = {"params": params["gen"], **net_state["gen"]}
        if not train:
            return self.gen.apply(variables, latents, train=False), net_state["gen"]
        return self.gen.apply(variables, latents, train=True, mutable=list(net_state["gen"]))

    def discriminate(self, params, net_state, *images):
        """(logits [n] of each batch of images, the new singular vectors, metrics)."""
        weights, vectors, metrics = spectral_norm.normalize(
            params["disc"], net_state["disc"], apply=self.normalize
        )
        return [self.disc.apply({"params": weights}, x) for x in images], vectors, metrics


def build(config: GanConfig, spec: DataSpec) -> Experiment:
    """Builds the experiment of a validated config.

    Raises:
      ConfigError: unknown names, or nets that do not fit the data.
    """
    gan = config.gan
    make_gen, make_disc, shape = lookup(NETS, gan.nets, "config.gan.nets")
    if shape != spec.image_shape:
        raise ConfigError(
            f"config.gan.nets: '{gan.nets}' is for images of shape {shape}, but those of "
            f"'{config.dataset.name}' are {spec.image_shape}"
        )
    nets = Nets(make_gen(), make_disc(), gan.num_latents, gan.spectral_norm != "none")
    disc_loss = lookup(losses.DISC, gan.disc_loss, "config.gan.disc_loss")
    gen_loss = lookup(losses.GEN, gan.gen_loss, "config.gan.gen_loss")
    game = Game(PLAYERS, functools.partial(gan_losses, nets, disc_loss, gen_loss))
    optimizer = {
        x: optimizers.from_config(getattr(gan.optimizers, x), f"config.gan.optimizers.{x}") for x in PLAYERS
    }
    regularizers = gan.as_regularizers()
    rule = updates.make(gan.updates, game, optimizer, regularizers, gan.as_options())

    def init(key: jax.Array, batch: Batch) -> GameState:
        params, net_state = init_nets(nets, key, to_signed(batch["image"][:2]))
        return rule.init(params, net_state)

    def train_step(state: GameState, batch: Batch, key: jax.Array):
        return rule.step(state, to_signed(batch["image"]), key)

    def sample(state: GameState, key: jax.Array, n: int) -> jax.Array:
        latents = nets.latents(key, n)
        return nets.generate(state.params, state.net_state, latents, train=False)[0]

    return Experiment(
        init=init,
        train_step=train_step,
        eval_step=functools.partial(gan_eval, nets),
        heads={"sample": sample, "figures": lambda s, key: {"samples": sample(s, key, _GRID)}},
        batches_per_step=rule.batches_per_step,
        min_device_batch=min_batch(regularizers.estimator),
        main_metrics=("disc_loss", "gen_loss"),
    )


def init_nets(nets: Nets, key: jax.Array, images: jax.Array):
    """Initial ({player: params}, {player: net_state})."""
    key_gen, key_disc, key_vectors = jax.random.split(key, 3)
    gen = nets.gen.init(key_gen, nets.latents(key_gen, len(images)), train=False)
    disc = nets.disc.init(key_disc, images)["params"]
    gen_state = {name: value for name, value in gen.items() if name != "params"}
    net_state = {"disc": spectral_norm.init(disc, key_vectors), "gen": gen_state}
    return {"disc": disc, "gen": gen["params"]}, net_state


def gan_losses(nets: Nets, disc_loss, gen_loss, params, net_state, real: jax.Array, key: jax.Array):
    """Both players' losses from one set of samples and one pass of the discriminator on each."""
    latents = nets.latents(key, len(real))
    fake, gen_state = nets.generate(params, net_state, latents, train=True)
    (on_real, on_fake), vectors, metrics = nets.discriminate(params, net_state, real, fake)
    values = {"disc": disc_loss(on_real, on_fake), "gen": gen_loss(on_real, on_fake)}
    metrics |= {"real_logit": on_real.mean(), "fake_logit": on_fake.mean()}
    return values, Aux({"disc": vectors, "gen": gen_state}, metrics)


def gan_eval(nets: Nets, state: GameState, batch: Batch, key: jax.Array):
    """How well the discriminator tells held-out images and samples apart; the same on any devices."""
    mask = batch["mask"]
    latents = device_share(lambda n: nets.latents(key, n), len(mask))
    fake, _ = nets.generate(state.params, state.net_state, latents, train=False)
    real = to_signed(batch["image"])
    (on_real, on_fake), _, _ = nets.discriminate(state.params, state.net_state, real, fake)
    sums = {
        "real_accuracy": jnp.sum(mask * (on_real > 0)),
        "fake_accuracy": jnp.sum(mask * (on_fake < 0)),
        "real_logit": jnp.sum(mask * on_real),
        "fake_logit": jnp.sum(mask * on_fake),
    }
    return psum({name: (total, mask.sum()) for name, total in sums.items()})
