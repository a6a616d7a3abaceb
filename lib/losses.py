"""Losses of the players of a GAN, and of a classifier. Logits are of the discriminator, [b]."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax


def disc_cross_entropy(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Returns -E log sigmoid(D(x)) - E log(1 - sigmoid(D(G(z))))  (Goodfellow et al. 2014)."""
    return jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake))


def gen_saturating(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Returns E log(1 - sigmoid(D(G(z)))): the zero-sum loss of the generator."""
    del real
    return -jnp.mean(jax.nn.softplus(fake))


def gen_non_saturating(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Returns -E log sigmoid(D(G(z)))."""
    del real
    return jnp.mean(jax.nn.softplus(-fake))


def disc_least_squares(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Returns E (D(x) - 1)^2 + E D(G(z))^2  (Mao et al. 2017)."""
    return jnp.mean((real - 1) ** 2) + jnp.mean(fake**2)


def gen_least_squares(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Returns E (D(G(z)) - 1)^2."""
    del real
    return jnp.mean((fake - 1) ** 2)


def disc_sigmoid_least_squares(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Returns the discriminator's least squares on sigmoid(D)."""
    return disc_least_squares(jax.nn.sigmoid(real), jax.nn.sigmoid(fake))


def gen_sigmoid_least_squares(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Returns the generator's least squares on sigmoid(D)."""
    return gen_least_squares(real, jax.nn.sigmoid(fake))


def gen_zero_sum_least_squares(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Returns -E D(G(z))^2: minus what the discriminator's least squares are on samples."""
    del real
    return -jnp.mean(fake**2)


def gen_zero_sum_sigmoid_least_squares(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Returns the zero-sum least squares on sigmoid(D)."""
    return gen_zero_sum_least_squares(real, jax.nn.sigmoid(fake))


def disc_hinge(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Returns E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))  (Lim and Ye 2017)."""
    return jnp.mean(jax.nn.relu(1 - real)) + jnp.mean(jax.nn.relu(1 + fake))


def disc_wasserstein(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Returns E D(G(z)) - E D(x)  (Arjovsky et al. 2017)."""
    return jnp.mean(fake) - jnp.mean(real)


def gen_wasserstein(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Returns -E D(G(z))."""
    del real
    return -jnp.mean(fake)


def disc_relativistic(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Returns -E log sigmoid(D(x_i) - D(G(z_i))), over pairs i of a real image and a sample.

    Jolicoeur-Martineau, 'The Relativistic Discriminator', ICLR 2019; with R1 and R2 penalties the loss of
    Huang et al., 'The GAN is dead; long live the GAN!', NeurIPS 2024 (R3GAN).
    """
    return jnp.mean(jax.nn.softplus(fake - real))


def gen_relativistic(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Returns -E log sigmoid(D(G(z_i)) - D(x_i))."""
    return jnp.mean(jax.nn.softplus(real - fake))


def classifier_cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> jax.Array:
    """Returns the cross entropy of smoothed labels, [b].

    -sum_k q_k log softmax(logits)_k,  q = (1 - smoothing) onehot(label) + smoothing / classes

    Szegedy et al., 'Rethinking the Inception Architecture for Computer Vision', CVPR 2016, section 7.

    Args:
      logits: [b, classes].
      labels: int [b].
      smoothing: of the labels, in [0, 1].
    """
    if not smoothing:
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(targets, smoothing))


def multiclass_hinge(logits: jax.Array, labels: jax.Array, smooth: bool = False) -> jax.Array:
    """Returns the hinge loss of Crammer and Singer (2001), [b].

    max_k m_k,  m_k = logits_k - logits_label + 1 for k other than the label, m_label = 0

    Smoothed it is sum_k p_k m_k where that is not negative, with p the softmax of the logits, of which no
    gradient is taken: Berrada, Zisserman, Kumar, 'Deep Frank-Wolfe for neural network optimization', ICLR
    2019.

    Args:
      logits: [b, classes].
      labels: int [b].
      smooth: whether it is smoothed.
    """
    of_label = jnp.take_along_axis(logits, labels[:, None], 1)
    others = 1 - jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    margins = logits - of_label + others
    hard = margins.max(-1)
    if not smooth:
        return hard
    soft = jnp.sum(jax.lax.stop_gradient(jax.nn.softmax(logits)) * margins, -1)
    return jnp.where(soft >= 0, soft, hard)


def top_k_entropy(logits: jax.Array, labels: jax.Array, k: int = 5, tau: float = 1.0) -> jax.Array:
    """Returns the truncated top-k entropy (Lapin, Hein, Schiele, CVPR 2016), [b].

    log(1 + sum_j exp((logits_j - logits_label) / tau)), over all j other than the label whose logits are
    not among the k largest: no loss is left where the label is far above these. k = 0 is the cross entropy.

    Args:
      logits: [b, classes].
      labels: int [b].
      k: how many guesses are free, less than the classes.
      tau: temperature.
    """
    gaps = (logits - jnp.take_along_axis(logits, labels[:, None], 1)) / tau
    ranks = jnp.argsort(jnp.argsort(-logits, -1), -1)
    counts = (ranks >= k) & (jnp.arange(logits.shape[-1])[None] != labels[:, None])
    gaps = jnp.where(counts, gaps, -jnp.inf)
    return jax.nn.logsumexp(jnp.pad(gaps, ((0, 0), (1, 0))), -1)  # the 1 is exp of the column of zeros


def hidden_l2(params: Any, l2: float) -> jax.Array:
    """Returns 0, with the gradient l2 w and the Hessian l2 I: (l2 / 2) ||w||^2 that a loss does not show.

    So an optimiser that reads the loss, as Polyak's step size does, sees it without the regulariser, and
    what follows its gradient sees g + l2 w.
    """
    half = 0.5 * l2 * optax.tree.norm(params, squared=True)
    return half - jax.lax.stop_gradient(half)


# What losses cannot fall below, by their definition: 0 of those that are not here.
LEAST_DISC = {"wasserstein": -math.inf}
LEAST_GEN = {
    "saturating": -math.inf,
    "hinge": -math.inf,
    "wasserstein": -math.inf,
    "zero_sum_least_squares": -math.inf,
    "zero_sum_sigmoid_least_squares": -1.0,
}
DISC = {
    "cross_entropy": disc_cross_entropy,
    "hinge": disc_hinge,
    "least_squares": disc_least_squares,
    "relativistic": disc_relativistic,
    "sigmoid_least_squares": disc_sigmoid_least_squares,
    "wasserstein": disc_wasserstein,
}
GEN = {
    "saturating": gen_saturating,
    "non_saturating": gen_non_saturating,
    "hinge": gen_wasserstein,
    "least_squares": gen_least_squares,
    "relativistic": gen_relativistic,
    "sigmoid_least_squares": gen_sigmoid_least_squares,
    "zero_sum_least_squares": gen_zero_sum_least_squares,
    "zero_sum_sigmoid_least_squares": gen_zero_sum_sigmoid_least_squares,
    "wasserstein": gen_wasserstein,
}
