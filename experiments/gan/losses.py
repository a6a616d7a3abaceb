"""The losses of a GAN's two players, as functions of all parameters."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from experiments.gan.nets import Nets
from lib.games.game import Aux
from lib.penalties import gradient_penalty, zero_centred_penalty
from lib.runtime.streams import interpolates_key

PENALTIES = "penalties"  # in net_state: {penalty: its weight}, numbers that a sweep may vary


class GanLosses(NamedTuple):
    """L_disc(D(x), D(G(z))) and L_gen(D(x), D(G(z))), z ~ N(0, I).

    Attributes:
      nets: G and D.
      disc: logits of real data and of samples, [b] each, to the discriminator's loss.
      gen: the same of the generator.

    The discriminator's loss has the penalties, too, whose weights net_state["penalties"] holds: `gradient`
    between real data and samples, `r1` at real data, `r2` at samples. Others are not computed.
    """

    nets: Nets
    disc: Callable[[jax.Array, jax.Array], jax.Array]
    gen: Callable[[jax.Array, jax.Array], jax.Array]

    def __call__(self, params, net_state, real: jax.Array, key: jax.Array):
        """Computes both losses from one set of samples and one pass of the discriminator on each.

        Args:
          params: {player: parameters}.
          net_state: {player: its network's state}, and the weights of penalties.
          real: images [b, h, w, c] in [-1, 1], or points [b, d].
          key: of the latents, and of the gradient penalty's interpolates.

        Returns:
          ({player: loss}, the new net_state and metrics).
        """
        disc, fake, logits, nets_state, metrics = self._passes(params, net_state, real, key)
        on_real, on_fake = logits
        values = self.of_outputs(logits, real)
        metrics |= {"real_logit": on_real.mean(), "fake_logit": on_fake.mean()}
        weights = net_state[PENALTIES]
        if "gradient" in weights:
            metrics["gradient_penalty"] = gradient_penalty(disc, real, fake, interpolates_key(key))
        for name, x in {"r1": real, "r2": fake}.items():
            if name in weights:
                metrics[f"{name}_penalty"] = zero_centred_penalty(disc, x)
        for name, weight in weights.items():
            values["disc"] += weight * metrics[f"{name}_penalty"]
        return values, Aux({**nets_state, PENALTIES: weights}, metrics)

    def outputs(self, params, net_state, real: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the logits of real data and of samples, [b] each."""
        return self._passes(params, net_state, real, key)[2]

    def of_outputs(self, logits: tuple[jax.Array, jax.Array], real: jax.Array) -> dict[str, jax.Array]:
        """Returns {player: loss}, without penalties, of both logits."""
        del real
        return {"disc": self.disc(*logits), "gen": self.gen(*logits)}

    def _passes(self, params, net_state, real: jax.Array, key: jax.Array):
        """Returns (D, samples, logits of real data and of these, the networks' new state, metrics)."""
        latents = self.nets.latents(key, len(real))
        fake, gen_state = self.nets.generate(params, net_state, latents, train=True)
        disc, vectors, metrics = self.nets.discriminator(params, net_state)
        return disc, fake, (disc(real), disc(fake)), {"disc": vectors, "gen": gen_state}, metrics
