"""Base of all GAN configs: what each field of the `gan` section means; the rest are in configs/play.py."""

from ml_collections import ConfigDict

from configs import common
from configs.play import averages, play

PLAYERS = ("disc", "gen")


def base() -> ConfigDict:
    """Simultaneous SGD on a zero-sum GAN, nothing regularised."""
    config = common.base()
    config.experiment = "gan"
    config.gan = gan = play(PLAYERS, 1e-2)
    gan.optimizers.gen.learning_rate = 5e-3
    # digits (8x8 grey), mnist (28x28 grey); cifar10 (32x32 colour), with a width (64); dcgan (images of any
    # size that divides by 4), with a width (32); mlp (points), with num_layers (2) hidden layers of
    # num_units (25) in both networks, and their activation (tanh, relu): lib/nets
    gan.nets = common.named("digits")
    gan.num_latents = 128
    # Of the discriminator's weights, not its biases: none (still logs their singular values),
    # power_iteration (what the configs of papers choose, because the papers do; its second derivatives,
    # which drift terms are made of, are off), exact. See lib/nets/spectral_norm.py. For cifar10 one
    # gradient through power iteration takes 6 ms on 2 CPU cores, and exact 0.25 s; a Hessian-vector product
    # 11 ms and 0.43 s.
    gan.spectral_norm = "none"
    # cross_entropy, hinge, least_squares, relativistic (real images and samples in pairs),
    # sigmoid_least_squares, wasserstein; for the generator saturating (cross entropy, zero-sum),
    # non_saturating, the last five of these, and zero_sum_least_squares and zero_sum_sigmoid_least_squares
    # (minus the discriminator's loss on samples)
    gan.disc_loss = "cross_entropy"
    gan.gen_loss = "saturating"
    # On the discriminator's loss: this times E (|grad_x D(x)| - 1)^2 between real images and samples.
    gan.gradient_penalty = 0.0
    # And these times 1/2 E |grad_x D(x)|^2 at real images (R1) and at samples (R2).
    gan.r1_penalty = 0.0
    gan.r2_penalty = 0.0
    # Examples whose losses are computed at once: a batch's gradients, and those of its terms, are sums over
    # its parts of so many, in the memory of one. For batches that do not fit; 0: all at once. Batch norm
    # and losses that are no means over examples then see a part. lib/games/microbatches.py
    gan.microbatch = 0
    gan.averages = averages(*PLAYERS)  # its fields: configs/play.py
    # Metrics of the mathematics, lib/games/diagnostics.py: gradient_norms, parameter_norms and polyak_steps
    # come with a step; cross_gradients, interaction, drift and hessian_gradients are computed besides.
    gan.diagnostics = ()
    gan.num_disc_updates = 1  # each on a batch of its own; more than 1 only when alternating
    gan.num_gen_updates = 1
    return config
