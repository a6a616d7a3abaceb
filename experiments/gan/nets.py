"""The two networks of a GAN by name, and what they are called with."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax

from lib.data import DataSpec
from lib.errors import ConfigError, within
from lib.nets import dcgan, gan_mlp, spectral_norm
from lib.nets.options import NetOptions, choose
from lib.schema import Named


class PairEntry(NamedTuple):
    """A pair of networks that a config can name.

    Attributes:
      pair: makes (generator, discriminator) of the options' fields; where there is no `shape`, first of the
        images'.
      options: their class.
      shape: of an image or a point; None: images of any size that divides by 4.
    """

    pair: Callable[..., tuple[nn.Module, nn.Module]]
    options: type[NetOptions]
    shape: tuple[int, ...] | None


NETS = {
    "dcgan": PairEntry(dcgan.dcgan, dcgan.DcganOptions, None),
    "digits": PairEntry(dcgan.digits, NetOptions, (8, 8, 1)),
    "mnist": PairEntry(dcgan.mnist, NetOptions, (28, 28, 1)),
    "cifar10": PairEntry(dcgan.cifar10, dcgan.CifarOptions, (32, 32, 3)),
    "mlp": PairEntry(gan_mlp.pair, gan_mlp.PairOptions, (2,)),
}


class Nets(NamedTuple):
    """A generator and a discriminator.

    Attributes:
      gen: latents to images or points.
      disc: images or points to logits.
      num_latents: of each sample.
      normalization: of the discriminator's weights, by their largest singular values.
    """

    gen: nn.Module
    disc: nn.Module
    num_latents: int
    normalization: spectral_norm.Method

    def init(self, key: jax.Array, real: jax.Array):
        """Returns initial ({player: params}, {player: net_state}); `real` is a few images or points."""
        key_gen, key_disc, key_vectors = jax.random.split(key, 3)
        gen = self.gen.init(key_gen, self.latents(key_gen, len(real)), train=False)
        disc = self.disc.init(key_disc, real)["params"]
        gen_state = {name: value for name, value in gen.items() if name != "params"}
        net_state = {"disc": spectral_norm.init(disc, key_vectors, self.normalization), "gen": gen_state}
        return {"disc": disc, "gen": gen["params"]}, net_state

    def latents(self, key: jax.Array, n: int) -> jax.Array:
        """Draws z ~ N(0, I), [n, num_latents]."""
        return jax.random.normal(key, (n, self.num_latents))

    def generate(self, params, net_state, latents: jax.Array, train: bool):
        """Returns (images [n, h, w, c] or points [n, d], the generator's new net_state)."""
        variables = {"params": params["gen"], **net_state["gen"]}
        if not train:
            return self.gen.apply(variables, latents, train=False), net_state["gen"]
        return self.gen.apply(variables, latents, train=True, mutable=list(net_state["gen"]))

    def discriminator(self, params, net_state):
        """Returns (the function from images or points to logits [n], the new singular vectors, metrics)."""
        weights, vectors, metrics = spectral_norm.normalize(
            params["disc"], net_state["disc"], self.normalization
        )
        return functools.partial(self.disc.apply, {"params": weights}), vectors, metrics


def make(
    section: Named, num_latents: int, normalization: spectral_norm.Method, spec: DataSpec, dataset_name: str
) -> Nets:
    """Returns the networks that a section of the config names, for data of a set.

    Args:
      section: `config.gan.nets`.
      num_latents: of each sample.
      normalization: of the discriminator's weights.
      spec: of the data.
      dataset_name: of the data, for errors.

    Raises:
      ConfigError: the networks are for data of another shape; the field is relative to `config.gan`.
    """
    with within("nets"):
        entry, options = choose(NETS, section)
    shape = spec.image_shape
    fits = shape == entry.shape if entry.shape else len(shape) == 3 and not (shape[0] % 4 or shape[1] % 4)
    if not fits:
        wanted = f"data of shape {entry.shape}" if entry.shape else "images whose sides divide by 4"
        raise ConfigError(
            f"'{section.name}' is for {wanted}, but that of '{dataset_name}' has {shape}", "nets.name"
        )
    first = () if entry.shape else (shape,)
    return Nets(*entry.pair(*first, **options.model_dump()), num_latents, normalization)
