"""Ratios of the two learning rates of a GAN under alternating updates.

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021: the second player's
interaction drift is (h_2 / 2)(1 - 2 h_1 / h_2), which vanishes where the first player's rate is half the
second's.

    ./run.sh sweep --config=configs/gan/digits.py --sweep=configs/sweeps/alternating_ratios.py --eval

12 runs of 12,000 steps with the digits.
"""

GEN_RATES = [0.02, 0.05, 0.1, 0.2]  # against 0.05 of the discriminator, which moves first


def get_sweep(h):
    return h.product(
        h.fixed("gan.updates", "alternating"),
        h.fixed("gan.optimizers.disc.learning_rate", 0.05),
        h.values("gan.optimizers.gen.learning_rate", GEN_RATES),
        h.product(
            *(
                h.fixed(f"gan.grad_regularizes.dd_coeffs_multiplier.{p}.other_dot_prod", 0.0)
                for p in ("disc", "gen")
            )
        ),
        h.seeds(3),
    )
