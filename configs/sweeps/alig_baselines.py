"""The adaptive baselines of the ALI-G paper that optax has, each over three rates, on the wide ResNet.

    ./run.sh sweep --config=configs/classifier/cifar10_wrn_adaptive.py --sweep=configs/sweeps/alig_baselines.py

15 runs. It needs an accelerator.
"""


def get_sweep(h):
    return h.product(
        h.values("classifier.optimizer.name", ("adam", "amsgrad", "adagrad", "yogi", "adamw")),
        h.log_spaced("classifier.optimizer.learning_rate", 1e-4, 1e-2, 3),
    )
