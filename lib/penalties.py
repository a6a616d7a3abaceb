"""Penalties of a discriminator's gradients by its inputs, E .. over images or points x."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Discriminator = Callable[[jax.Array], jax.Array]  # [b, ..] to logits [b], each of its own image alone


def gradient_penalty(disc: Discriminator, real: jax.Array, fake: jax.Array, key: jax.Array) -> jax.Array:
    """Returns E (|grad_x D(x)| - 1)^2 at x uniform on the line between a real image and a sample.

    Gulrajani et al., 'Improved Training of Wasserstein GANs', NeurIPS 2017, Equation 3. Added to the
    discriminator's loss, it depends on the generator's parameters too, through the samples: interaction
    terms of the drift see that, the generator's own gradient does not.

    Args:
      disc: without batch statistics.
      real: [b, ..].
      fake: like `real`.
      key: of the places on the lines.

    Returns:
      A scalar. Where a gradient is zero, its norm is taken to have the derivative zero.
    """
    t = jax.random.uniform(key, (len(real), *(1,) * (real.ndim - 1)), real.dtype)
    squared = _squared_norms(disc, real + t * (fake - real))
    zero = squared == 0
    norms = jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, squared)))
    return jnp.mean((norms - 1) ** 2)


def zero_centred_penalty(disc: Discriminator, x: jax.Array) -> jax.Array:
    """Returns 1/2 E |grad_x D(x)|^2: R1 at real images, R2 at samples.

    Mescheder, Geiger, Nowozin, 'Which Training Methods for GANs do actually Converge?', ICML 2018,
    Equations 9 and 10. R2 depends on the generator's parameters as `gradient_penalty` does.

    Args:
      disc: without batch statistics.
      x: [b, ..].
    """
    return jnp.mean(_squared_norms(disc, x)) / 2


def _squared_norms(disc: Discriminator, x: jax.Array) -> jax.Array:
    """Returns |grad_x D(x)|^2, [b]."""
    gradients = jax.grad(lambda x: disc(x).sum())(x)
    return jnp.sum(gradients.reshape(len(x), -1) ** 2, -1)
