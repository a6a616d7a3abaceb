"""How the players of a game move: the fields that GANs and toy games share, and methods of papers."""

from collections.abc import Iterable, Sequence

from ml_collections import ConfigDict

from configs.common import optimizer


def play(players: Sequence[str], learning_rate: float) -> ConfigDict:
    """Returns the section of simultaneous SGD, nothing regularised."""
    section = ConfigDict()
    # simultaneous, alternating, runge_kutta_1, _2 (Heun's) and _4, extragradient, optimistic (past
    # extragradient), anchored_extragradient, lookahead, lead, competitive, follow_the_ridge,
    # local_symplectic_surgery: lib/games/updates. All but alternating move both players at once.
    section.updates = "simultaneous"
    # extragradient: advance False, the optimisers' state with the extrapolation as well. optimistic:
    # extrapolate "plain", or "optimizer". lookahead: every 5 steps of inner "simultaneous" ("alternating",
    # "extragradient"), of whose way alpha 0.5 is kept. lead: alpha 0.3. competitive, follow_the_ridge:
    # products 20, the most of a step. local_symplectic_surgery: regularization and damping 1e-4,
    # products 50.
    section.update_kwargs = ConfigDict()
    # Whose turn comes first when alternating; who leads where the other follows the ridge (a GAN's gen).
    section.first_player = players[0]
    # same, fresh: batches and latents of the stages of Runge-Kutta and extragradient updates
    section.stage_batches = "same"
    # shared: all players' gradients are of one batch and the same latents, from one forward pass; when
    # alternating, the first updates of all turns see one batch. separate, as in the paper's code: each
    # player's are of a batch and latents of its own, its terms of the drift too. See
    # docs/discretisation_drift.md for what that costs.
    section.player_batches = "shared"
    section.optimizers = ConfigDict({x: optimizer("sgd", learning_rate) for x in players})

    # Discretisation drift, lib/games/drift.py. Multipliers of the drift's own coefficients: -1 cancels
    # a term, 0 leaves it, 1 doubles it. Explicit coefficients are added as they are.
    section.grad_regularizes = ConfigDict()
    section.grad_regularizes.dd_coeffs_multiplier = terms(players)
    section.grad_regularizes.explicit_non_dd_coeffs = terms(players)
    # Added once to a Runge-Kutta step's combined gradient, at the step's initial parameters.
    section.grad_regularizes.rk_after_explicit_coeffs = terms(players)
    # biased, biased_averaged, unbiased, unbiased_averaged: lib/games/regularizers.py
    section.grad_regularizes.estimator = "unbiased_averaged"
    # per_player, shared: on whose clock the drift is measured; the same where learning rates are equal.
    # per_player is as published; shared is right for one flow of both players.
    section.grad_regularizes.drift_clock = "per_player"

    section.sga = ConfigDict()  # symplectic gradient adjustment, lib/games/symplectic.py
    section.sga.weight = 0.0  # lambda; 0: off
    section.sga.align = True  # with the sign of its alignment, or always positive

    # Multipliers of the drift are refused where there is no theory of it: with other rules than
    # simultaneous, alternating and runge_kutta_1, with other optimisers than plain SGD, and with sga. True:
    # used all the same; rules without a theory then take the coefficients of simultaneous updates.
    section.allow_unsound = False
    return section


def averages(*players: str) -> ConfigDict:
    """Returns which averages of parameters a run keeps: none. They are evaluated beside the last ones."""
    section = ConfigDict()
    # Decay d of a <- d a + (1 - d) theta, smaller in the first steps; 0: not kept. lib/games/averages.py
    section.exponential = 0.0
    section.uniform = False  # the mean over all steps
    section.start = 0  # steps before averages begin, counted anew where they begin anew after a warm start
    section.players = players  # whose parameters are averaged; others stay the last ones
    return section


def terms(players: Iterable[str]) -> ConfigDict:
    """Returns one number for each regulariser of each player, all zero."""
    zero = {"self_norm": 0.0, "other_norm": 0.0, "other_dot_prod": 0.0}
    return ConfigDict({x: dict(zero) for x in players})


def keep_drift(section: ConfigDict) -> None:
    """Leaves the drift as it is, where a config starts from one that cancels it."""
    section.grad_regularizes.dd_coeffs_multiplier = terms(section.optimizers)


def cancel_interaction_drift(section: ConfigDict) -> None:
    """Cancels the interaction terms of the drift for all players, as the paper's default does."""
    for multiplier in section.grad_regularizes.dd_coeffs_multiplier.values():
        multiplier.other_dot_prod = -1.0


def consensus(section: ConfigDict, weight: float) -> None:
    """Sets consensus optimisation.

    Mescheder, Nowozin, Geiger, 'The Numerics of GANs', NeurIPS 2017. Every player also descends
    weight 1/2 ||v||^2, v being the joint gradient of all.
    """
    for explicit in section.grad_regularizes.explicit_non_dd_coeffs.values():
        explicit.self_norm = explicit.other_norm = weight


def symplectic(section: ConfigDict, weight: float) -> None:
    """Sets symplectic gradient adjustment, xi + weight s A^T xi with alignment s.

    Balduzzi et al., ICML 2018, 'The Mechanics of n-Player Differentiable Games', Algorithm 1.
    """
    section.sga.weight = weight
    section.sga.align = True


def symplectic_regularizer(section: ConfigDict, weight: float) -> None:
    """Sets SGA as a regulariser: weight 1/2 ||other player's gradient||^2 for both.

    Rosca et al., ICML 2021. In a zero-sum game it is `symplectic` without alignment.
    """
    for explicit in section.grad_regularizes.explicit_non_dd_coeffs.values():
        explicit.other_norm = weight


def ode_gan(section: ConfigDict, weight: float) -> None:
    """Sets ODE-GAN.

    Runge-Kutta 4, then a step of the discriminator down weight 1/2 ||generator's gradient||^2.
    Qin et al., 'Training Generative Adversarial Networks by Solving Ordinary Differential Equations',
    NeurIPS 2020. For a penalty without the factor 1/2, give twice its weight.
    """
    section.updates = "runge_kutta_4"
    section.grad_regularizes.rk_after_explicit_coeffs.disc.other_norm = weight


def negative_momentum(section: ConfigDict, disc: float, gen: float) -> None:
    """Sets alternating SGD with a momentum for each player.

    Gidel et al., AISTATS 2019, 'Negative Momentum for Improved Game Dynamics'. Learning rates
    stay as they are; the drift of momentum has no theory, so its multipliers must be 0.
    """
    section.updates = "alternating"
    for player, momentum in {"disc": disc, "gen": gen}.items():
        section.optimizers[player].name = "sgd"
        section.optimizers[player].kwargs = ConfigDict({"momentum": momentum})
