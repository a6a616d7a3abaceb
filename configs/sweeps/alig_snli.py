"""Every row of the ALI-G paper's SNLI table: cross entropy and the multi-class hinge, batches of 64.

    ./run.sh sweep --config=configs/classifier/snli.py --sweep=configs/sweeps/alig_snli.py --dry_run

17 runs of 20 epochs. They need accelerators, and --config.dataset.kwargs.vectors=glove.840B.300d.txt.
"""

from configs import alig
from configs.classifier.snli import TRAIN

# (method, eta of the cross entropy, eta of the hinge); none of them has momentum or decays weights
TABLE = [
    ("adagrad", 0.01, 0.01),
    ("adam", 1e-4, 1e-4),
    ("amsgrad", 1e-4, 1e-4),
    ("bpgrad", 1.0, 1.0),
    ("dfw", None, 1.0),
    ("sgd", 1.0, 0.1),
    ("l4_adam", 0.15, 0.015),
    ("l4_mom", 0.015, 0.015),
    ("alig", 1.0, 1.0),
]


def get_sweep(h):
    runs = [
        alig.method(name, eta, momentum=None) | loss
        for etas, loss in ((1, {}), (2, alig.hinge()))
        for name, eta in ((row[0], row[etas]) for row in TABLE)
        if eta is not None
    ]
    return [alig.as_published(run) | _of_sgd(run) | _of_dfw(run) for run in runs]


def _of_sgd(run: dict) -> dict:
    """Returns the overrides of SGD's rate, which falls by a hundredth after every epoch."""
    if run[f"{alig.OPTIMIZER}.name"] != "sgd":
        return {}
    return alig.decayed(tuple(range(1, 20)), 0.99, 64, TRAIN)


def _of_dfw(run: dict) -> dict:
    """Returns the overrides of DFW, whose gradient the published code does not clip."""
    return {f"{alig.OPTIMIZER}.clip_norm": 0.0} if run[f"{alig.OPTIMIZER}.name"] == "dfw" else {}
