"""Base of all GAN configs: what each field of the `gan` section means."""

from ml_collections import ConfigDict

from configs import common
from configs.common import optimizer


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
    # simultaneous, alternating, runge_kutta_1, _2 (Heun's) and _4, extragradient, optimistic (past
    # extragradient): lib/games/updates. All but alternating move both players at once.
    gan.updates = "simultaneous"
    gan.num_disc_updates = 1  # each on a batch of its own; more than 1 only when alternating
    gan.num_gen_updates = 1
    gan.first_player = "disc"  # disc, gen: whose turn comes first when alternating
    # same, fresh: batches and latents of the stages of Runge-Kutta and extragradient updates
    gan.stage_batches = "same"

    gan.optimizers = ConfigDict()
    gan.optimizers.disc = optimizer("sgd", 1e-2)
    gan.optimizers.gen = optimizer("sgd", 5e-3)

    # Discretisation drift, lib/games/drift.py. Multipliers of the drift's own coefficients: -1 cancels
    # a term, 0 leaves it, 1 doubles it. Explicit coefficients are added as they are.
    gan.grad_regularizes = ConfigDict()
    gan.grad_regularizes.dd_coeffs_multiplier = terms()
    gan.grad_regularizes.explicit_non_dd_coeffs = terms()
    # Added once to a Runge-Kutta step's combined gradient, at the step's initial parameters.
    gan.grad_regularizes.rk_after_explicit_coeffs = terms()
    # biased, biased_averaged, unbiased, unbiased_averaged: lib/games/regularizers.py
    gan.grad_regularizes.estimator = "unbiased_averaged"
    # per_player, shared: on whose clock the drift is measured; the same where learning rates are equal.
    # per_player is as published; shared is right for one flow of both players.
    gan.grad_regularizes.drift_clock = "per_player"

    gan.sga = ConfigDict()  # symplectic gradient adjustment, lib/games/symplectic.py
    gan.sga.weight = 0.0  # lambda; 0: off
    gan.sga.align = True  # with the sign of its alignment, or always positive

    # Multipliers of the drift are refused where there is no theory of it: with other rules than simultaneous,
    # alternating and runge_kutta_1, with other optimisers than plain SGD, and with sga. True: used all the
    # same; rules without a theory then take the coefficients of simultaneous updates.
    gan.allow_unsound = False
    return config


def terms() -> ConfigDict:
    """One number for each regulariser of each player, all zero."""
    zero = {"self_norm": 0.0, "other_norm": 0.0, "other_dot_prod": 0.0}
    return ConfigDict({"disc": dict(zero), "gen": dict(zero)})


def cancel_interaction_drift(config: ConfigDict) -> None:
    """Cancels the interaction terms of the drift for both players, as the paper's default does."""
    for player in ("disc", "gen"):
        config.gan.grad_regularizes.dd_coeffs_multiplier[player].other_dot_prod = -1.0


def consensus(config: ConfigDict, weight: float) -> None:
    """Consensus optimisation (Mescheder, Nowozin, Geiger, 'The Numerics of GANs', NeurIPS 2017).

    Every player also descends weight 1/2 ||v||^2, v being the joint gradient of both.
    """
    for player in ("disc", "gen"):
        explicit = config.gan.grad_regularizes.explicit_non_dd_coeffs[player]
        explicit.self_norm = explicit.other_norm = weight


def symplectic(config: ConfigDict, weight: float) -> None:
    """Symplectic gradient adjustment xi + weight s A^T xi with alignment s (Balduzzi et al., ICML 2018).

    'The Mechanics of n-Player Differentiable Games', Algorithm 1.
    """
    config.gan.sga.weight = weight
    config.gan.sga.align = True


def symplectic_regularizer(config: ConfigDict, weight: float) -> None:
    """SGA as a regulariser (Rosca et al., ICML 2021): weight 1/2 ||other player's gradient||^2 for both.

    In a zero-sum game it is `symplectic` without alignment.
    """
    for player in ("disc", "gen"):
        config.gan.grad_regularizes.explicit_non_dd_coeffs[player].other_norm = weight


def ode_gan(config: ConfigDict, weight: float) -> None:
    """ODE-GAN: Runge-Kutta 4, then a step of the discriminator down weight 1/2 ||generator's gradient||^2.

    Qin et al., 'Training Generative Adversarial Networks by Solving Ordinary Differential Equations',
    NeurIPS 2020. For a penalty without the factor 1/2, give twice its weight.
    """
    config.gan.updates = "runge_kutta_4"
    config.gan.grad_regularizes.rk_after_explicit_coeffs.disc.other_norm = weight


def negative_momentum(config: ConfigDict, disc: float, gen: float) -> None:
    """Alternating SGD with a momentum for each player (Gidel et al., AISTATS 2019).

    'Negative Momentum for Improved Game Dynamics'. Learning rates stay as they are; the drift of momentum has
    no theory, so its multipliers must be 0.
    """
    config.gan.updates = "alternating"
    for player, momentum in {"disc": disc, "gen": gen}.items():
        config.gan.optimizers[player].name = "sgd"
        config.gan.optimizers[player].kwargs = ConfigDict({"momentum": momentum})
