"""Losses of the players of a GAN, and of a classifier. Logits are of the discriminator, [b]."""

import jax
import jax.numpy as jnp
import optax


def disc_cross_entropy(real: jax.Array, fake: jax.Array) -> jax.Array:
    """-E log sigmoid(D(x)) - E log(1 - sigmoid(D(G(z))))  (Goodfellow et al. 2014)."""
    return jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake))


def gen_saturating(real: jax.Array, fake: jax.Array) -> jax.Array:
    """E log(1 - sigmoid(D(G(z)))): the zero-sum loss of the generator."""
    del real
    return -jnp.mean(jax.nn.softplus(fake))


def gen_non_saturating(real: jax.Array, fake: jax.Array) -> jax.Array:
    """-E log sigmoid(D(G(z)))."""
    del real
    return jnp.mean(jax.nn.softplus(-fake))


def classifier_cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """-log softmax(logits)[label], [b]; logits [b, classes], labels int [b]."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


DISC = {"cross_entropy": disc_cross_entropy}
GEN = {"saturating": gen_saturating, "non_saturating": gen_non_saturating}
