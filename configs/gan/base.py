"""Base of all GAN configs: what each field of the `gan` section means."""

from ml_collections import ConfigDict

from configs import common


def base() -> ConfigDict:
    """Simultaneous SGD on a zero-sum GAN, nothing regularised."""
    config = common.base()
    config.experiment = "gan"
    config.gan = gan = ConfigDict()
    gan.nets = "digits"  # digits (8x8 grey), mnist (28x28 grey), cifar10 (32x32 colour), mlp (points)
    gan.mlp = ConfigDict({"num_layers": 2, "num_units": 25})  # hidden layers of both networks `mlp`
    gan.num_latents = 128
    # Of the discriminator's weights, not its biases: none (still logs their singular values), power_iteration
    # (what the configs of papers choose, because the papers do; its second derivatives, which drift terms
    # are made of, are off), exact. See lib/nets/spectral_norm.py. For cifar10 one gradient through power
    # iteration takes 6 ms on 2 CPU cores, and exact 0.25 s; a Hessian-vector product 11 ms and 0.43 s.
    gan.spectral_norm = "none"
    # cross_entropy, least_squares, sigmoid_least_squares, wasserstein; for the generator saturating
    # (cross entropy, zero-sum), non_saturating, and the last three of these
    gan.disc_loss = "cross_entropy"
    gan.gen_loss = "saturating"
    # On the discriminator's loss: this times E (|grad_x D(x)| - 1)^2 between real images and samples.
    gan.gradient_penalty = 0.0
    gan.updates = "simultaneous"  # simultaneous, alternating (the discriminator first)
    gan.num_disc_updates = 1  # each on a batch of its own; more than 1 only when alternating
    gan.num_gen_updates = 1

    gan.optimizers = ConfigDict()
    gan.optimizers.disc = optimizer("sgd", 1e-2)
    gan.optimizers.gen = optimizer("sgd", 5e-3)

    # Discretisation drift, lib/games/drift.py. Multipliers of the drift's own coefficients: -1 cancels
    # a term, 0 leaves it, 1 doubles it. Explicit coefficients are added as they are.
    gan.grad_regularizes = ConfigDict()
    gan.grad_regularizes.dd_coeffs_multiplier = terms()
    gan.grad_regularizes.explicit_non_dd_coeffs = terms()
    # biased, biased_averaged, unbiased, unbiased_averaged: lib/games/regularizers.py
    gan.grad_regularizes.estimator = "unbiased_averaged"
    return config


def optimizer(name: str, learning_rate: float, **kwargs) -> ConfigDict:
    """An optimiser by name: one of this project's or any of optax's, with its keyword arguments."""
    section = ConfigDict()
    section.name = name
    section.learning_rate = learning_rate
    section.kwargs = ConfigDict(kwargs)
    return section


def terms() -> ConfigDict:
    """One number for each regulariser of each player, all zero."""
    zero = {"self_norm": 0.0, "other_norm": 0.0, "other_dot_prod": 0.0}
    return ConfigDict({"disc": dict(zero), "gen": dict(zero)})


def cancel_interaction_drift(config: ConfigDict) -> None:
    """Cancels the interaction terms of the drift for both players, as the paper's default does."""
    for player in ("disc", "gen"):
        config.gan.grad_regularizes.dd_coeffs_multiplier[player].other_dot_prod = -1.0
