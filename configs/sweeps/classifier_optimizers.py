"""Optimisers x learning rates of a classifier.

    ./run.sh sweep --config=configs/classifier/digits.py --sweep=configs/sweeps/classifier_optimizers.py

18 runs; with --config.num_steps=300 and --jobs=2 in 29 s on 2 CPU cores.
"""

RATES = {"sgd": (0.01, 0.5), "adam": (1e-4, 1e-2), "rmsprop": (1e-4, 1e-2)}


def get_sweep(h):
    name, rate = "classifier.optimizer.name", "classifier.optimizer.learning_rate"
    return h.product(
        h.chain(*(h.product(h.fixed(name, n), h.log_spaced(rate, *ends, 3)) for n, ends in RATES.items())),
        h.seeds(2),
    )
