"""Every row of the ALI-G paper's CIFAR tables: two data sets, two networks, eight methods.

    ./run.sh sweep --config=configs/classifier/cifar10_wrn.py --sweep=configs/sweeps/alig_cifar.py --dry_run

32 runs of 200 epochs (wide ResNet 40-4) or 300 (DenseNet 40-40). They need accelerators. (The
published code runs L4 at alpha = 0.15 whatever its table says; here it has the table's.) Of each, the best
checkpoint by validation and its test accuracy:

    ./run.sh eval --workdir=RUN --follow --final_split=test
"""

from configs import alig

TRAIN = 45_000
MODELS = {"wide_resnet": ({}, 200), "densenet": ({}, 300)}  # {network: (its options, epochs)}
DECAYS = {"wide_resnet": ((60, 120, 160), 0.2), "densenet": ((150, 225), 0.1)}  # of SGD's rate

# (data, network): (method, batch size, eta, weight decay, radius)
TABLE = {
    ("cifar10", "wide_resnet"): [
        ("amsgrad", 512, 1e-3, 1e-4, None),
        ("adamw", 128, 1e-3, 1e-3, None),
        ("yogi", 128, 1e-3, 1e-4, None),
        ("dfw", 512, 1.0, 1e-4, None),
        ("sgd", 128, 0.1, 5e-4, None),
        ("l4_adam", 128, 0.015, 1e-4, None),
        ("l4_mom", 128, 0.15, 1e-4, None),
        ("alig", 256, 1.0, 0.0, 100.0),
    ],
    ("cifar10", "densenet"): [
        ("amsgrad", 128, 1e-3, 1e-4, None),
        ("adamw", 64, 1e-3, 1e-4, None),
        ("yogi", 64, 1e-3, 1e-4, None),
        ("dfw", 64, 0.1, 1e-4, None),
        ("sgd", 64, 0.1, 1e-4, None),
        ("l4_adam", 256, 0.15, 1e-4, None),
        ("l4_mom", 64, 0.15, 1e-4, None),
        ("alig", 64, 0.1, 0.0, 75.0),
    ],
    ("cifar100", "wide_resnet"): [
        ("amsgrad", 128, 1e-3, 1e-4, None),
        ("adamw", 128, 1e-3, 5e-4, None),
        ("yogi", 128, 1e-3, 1e-4, None),
        ("dfw", 256, 0.1, 5e-4, None),
        ("sgd", 128, 0.1, 5e-4, None),
        ("l4_adam", 512, 0.015, 1e-4, None),
        ("l4_mom", 512, 0.015, 5e-4, None),
        ("alig", 128, 0.1, 0.0, 100.0),
    ],
    ("cifar100", "densenet"): [
        ("amsgrad", 64, 1e-3, 1e-4, None),
        ("adamw", 64, 1e-3, 1e-2, None),
        ("yogi", 64, 1e-3, 1e-4, None),
        ("dfw", 64, 0.1, 1e-4, None),
        ("sgd", 64, 0.1, 1e-4, None),
        ("l4_adam", 256, 0.015, 1e-4, None),
        ("l4_mom", 256, 0.015, 1e-4, None),
        ("alig", 256, 0.1, 0.0, 75.0),
    ],
}


def run(data: str, model: str, name: str, batch_size: int, *numbers) -> dict:
    """Returns the overrides of one row."""
    options, epochs = MODELS[model]
    overrides = {
        "dataset.name": data,
        "classifier.model.name": model,
        "classifier.model.kwargs": options,
        **alig.length(epochs, batch_size, TRAIN),
        **alig.as_published(alig.method(name, *numbers, smooth=True)),
    }
    if name == "sgd":
        overrides |= alig.decayed(*DECAYS[model], batch_size, TRAIN)
    return overrides


def get_sweep(h):
    return [run(*where, *row) for where, rows in TABLE.items() for row in rows]
