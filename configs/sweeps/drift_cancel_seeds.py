"""Seeds of a GAN at its own learning rates, the interaction terms of its drift as they are, and cancelled.

The part of drift_cancel.py that docs/discretisation_drift.md shows.

    ./run.sh sweep --config=configs/gan/digits.py --sweep=configs/sweeps/drift_cancel_seeds.py --eval

6 runs.
"""

from configs.sweeps.drift_cancel import INTERACTION, both


def get_sweep(h):
    return h.product(both(h, INTERACTION, [0.0, -1.0]), h.seeds(3))
