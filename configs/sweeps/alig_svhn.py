"""Every row of the ALI-G paper's SVHN table, batches of 128, no augmentation, no momentum.

    ./run.sh sweep --config=configs/classifier/svhn_wrn.py --sweep=configs/sweeps/alig_svhn.py --dry_run

8 runs of 160 epochs of the wide ResNet 16-4. They need accelerators.
"""

from configs import alig

# (method, eta, weight decay, radius)
TABLE = [
    ("adagrad", 0.01, 5e-4, None),
    ("adam", 1e-5, 5e-4, None),
    ("amsgrad", 1e-4, 5e-4, None),
    ("bpgrad", 0.01, 5e-4, None),
    ("dfw", 0.01, 1e-4, None),
    ("l4_adam", 0.15, 1e-4, None),
    ("l4_mom", 0.0015, 5e-4, None),
    ("alig", 0.01, 0.0, 50.0),
]


def get_sweep(h):
    return [alig.as_published(alig.method(*row, momentum=None)) for row in TABLE]
