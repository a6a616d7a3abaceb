"""Learning rates x seeds of a GAN, with the interaction terms of its drift as they are, and cancelled.

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021: without the interaction
terms, larger learning rates should still train.

    ./run.sh sweep --config=configs/gan/digits.py --sweep=configs/sweeps/drift_cancel.py --eval

24 runs of 12,000 steps with the digits.
"""

INTERACTION = "gan.grad_regularizes.dd_coeffs_multiplier.{}.other_dot_prod"
RATE = "gan.optimizers.{}.learning_rate"


def both(h, field, values):
    """Returns runs with the same values of a field for both players."""
    return h.zipped(*(h.values(field.format(player), values) for player in ("disc", "gen")))


def get_sweep(h):
    return h.product(both(h, INTERACTION, [0.0, -1.0]), both(h, RATE, [0.01, 0.02, 0.05, 0.1]), h.seeds(3))
