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

from experiments.gan import modes
from experiments.gan.config import PLAYERS, GanConfig, GanSection
from lib import losses
from lib.data import DataSpec
from lib.data.mixtures import Mixture
from lib.data.pipeline import to_signed
from lib.errors import ConfigError, lookup
from lib.experiment import Batch, Experiment, GameView
from lib.games.game import Aux, Game
from lib.games.regularizers import min_batch
from lib.games.updates import GameState
from lib.nets import gan_cifar10, gan_digits, gan_mlp, gan_mnist, spectral_norm
from lib.pictures.artefacts import Images
from lib.runtime.devices import device_share, psum


def _mlp(gan: GanSection) -> dict:
    return gan.mlp.model_dump()


def _no_options(gan: GanSection) -> dict:
    del gan
    return {}


NETS = {  # {name: (module, what its two networks are made with, shape of an image or a point)}
    "digits": (gan_digits, _no_options, (8, 8, 1)),
    "mnist": (gan_mnist, _no_options, (28, 28, 1)),
    "cifar10": (gan_cifar10, _no_options, (32, 32, 3)),
    "mlp": (gan_mlp, _mlp, (2,)),
}
_GRID = 100  # images in a sample grid
_POINTS = 2_000  # points in a scatter


class Nets(NamedTuple):
    """The two networks and what they are called with."""

    gen: nn.Module
    disc: nn.Module
    num_latents: int
    spectral_norm: spectral_norm.Method  # of the discriminator's weights

    def latents(self, key: jax.Array, n: int) -> jax.Array:
        """z ~ N(0, I), [n, num_latents]."""
        return jax.random.normal(key, (n, self.num_latents))

    def generate(self, params, net_state, latents, train: bool):
        """(images [n, h, w, c] or points [n, d], the generator's new net_state)."""
        variables = {"params": params["gen"], **net_state["gen"]}
        if not train:
            return self.gen.apply(variables, latents, train=False), net_state["gen"]
        return self.gen.apply(variables, latents, train=True, mutable=list(net_state["gen"]))

    def discriminator(self, params, net_state):
        """(the function from images to logits [n], the new singular vectors, metrics)."""
        weights, vectors, metrics = spectral_norm.normalize(
            params["disc"], net_state["disc"], self.spectral_norm
        )
        return functools.partial(self.disc.apply, {"params": weights}), vectors, metrics


def build(config: GanConfig, spec: DataSpec) -> Experiment:
    """Builds the experiment of a validated config.

    Raises:
      ConfigError: unknown names, or nets that do not fit the data.
    """
    gan = config.gan
    module, options, shape = lookup(NETS, gan.nets, "config.gan.nets")
    if shape != spec.image_shape:
        raise ConfigError(
            f"config.gan.nets: '{gan.nets}' is for data of shape {shape}, but that of "
            f"'{config.dataset.name}' has {spec.image_shape}"
        )
    generator, discriminator = (make(**options(gan)) for make in (module.Generator, module.Discriminator))
    nets = Nets(generator, discriminator, gan.num_latents, gan.spectral_norm)
    disc_loss = lookup(losses.DISC, gan.disc_loss, "config.gan.disc_loss")
    gen_loss = lookup(losses.GEN, gan.gen_loss, "config.gan.gen_loss")
    losses_of = functools.partial(gan_losses, nets, disc_loss, gen_loss, gan.gradient_penalty)
    game = Game(PLAYERS, losses_of)
    rule = gan.as_rule(game, "config.gan")

    def init(key: jax.Array, batch: Batch) -> GameState:
        params, net_state = init_nets(nets, key, to_signed(batch["image"][:2]))
        return rule.init(params, net_state)

    def points(batch: Batch) -> jax.Array:
        return to_signed(batch["image"])

    def train_step(state: GameState, batch: Batch, key: jax.Array):
        return rule.step(state, points(batch), key)

    def sample(state: GameState, key: jax.Array, n: int) -> jax.Array:
        latents = nets.latents(key, n)
        return nets.generate(state.params, state.net_state, latents, train=False)[0]

    draw = jax.jit(sample, static_argnums=2)

    def images(state: GameState, key: jax.Array, means):
        del means
        return {"samples": Images(draw(state, key, _GRID))}

    def found_modes(state: GameState, key: jax.Array, means):
        del means
        return {"samples": modes.picture(draw(state, key, _POINTS), spec.mixture)}

    outputs, summary = {}, dict
    if len(shape) == 3:
        outputs = {"samples": sample, "artefacts": images}
    elif spec.mixture:
        outputs, summary = {"artefacts": found_modes}, modes.summary

    return Experiment(
        init=init,
        train_step=train_step,
        eval_step=functools.partial(gan_eval, nets, spec.mixture),
        eval_summary=summary,
        outputs=outputs,
        batches_per_step=rule.batches_per_step,
        min_device_batch=min_batch(gan.grad_regularizes.estimator),
        main_metrics=("disc_loss", "gen_loss"),
        game=GameView(rule, points),
    )


def init_nets(nets: Nets, key: jax.Array, images: jax.Array):
    """Initial ({player: params}, {player: net_state})."""
    key_gen, key_disc, key_vectors = jax.random.split(key, 3)
    gen = nets.gen.init(key_gen, nets.latents(key_gen, len(images)), train=False)
    disc = nets.disc.init(key_disc, images)["params"]
    gen_state = {name: value for name, value in gen.items() if name != "params"}
    net_state = {"disc": spectral_norm.init(disc, key_vectors, nets.spectral_norm), "gen": gen_state}
    return {"disc": disc, "gen": gen["params"]}, net_state


def gan_losses(
    nets: Nets, disc_loss, gen_loss, penalty: float, params, net_state, real: jax.Array, key: jax.Array
):
    """Both players' losses from one set of samples and one pass of the discriminator on each.

    The discriminator's has `penalty` times the gradient penalty added, which is not computed for 0.
    """
    latents = nets.latents(key, len(real))
    fake, gen_state = nets.generate(params, net_state, latents, train=True)
    disc, vectors, metrics = nets.discriminator(params, net_state)
    on_real, on_fake = disc(real), disc(fake)
    values = {"disc": disc_loss(on_real, on_fake), "gen": gen_loss(on_real, on_fake)}
    metrics |= {"real_logit": on_real.mean(), "fake_logit": on_fake.mean()}
    if penalty:
        metrics["gradient_penalty"] = losses.gradient_penalty(disc, real, fake, jax.random.fold_in(key, 1))
        values["disc"] += penalty * metrics["gradient_penalty"]
    return values, Aux({"disc": vectors, "gen": gen_state}, metrics)


def gan_eval(nets: Nets, mixture: Mixture | None, state: GameState, batch: Batch, key: jax.Array):
    """How well the discriminator tells held-out images and samples apart; the same on any devices.

    With a mixture, also the samples at each of its modes.
    """
    mask = batch["mask"]
    latents = device_share(lambda n: nets.latents(key, n), len(mask))
    fake, _ = nets.generate(state.params, state.net_state, latents, train=False)
    real = to_signed(batch["image"])
    disc, _, _ = nets.discriminator(state.params, state.net_state)
    on_real, on_fake = disc(real), disc(fake)
    sums = {
        "real_accuracy": jnp.sum(mask * (on_real > 0)),
        "fake_accuracy": jnp.sum(mask * (on_fake < 0)),
        "real_logit": jnp.sum(mask * on_real),
        "fake_logit": jnp.sum(mask * on_fake),
    }
    if mixture is not None:
        sums |= modes.sums(fake, mask, mixture)
    return psum({name: (total, mask.sum()) for name, total in sums.items()})
