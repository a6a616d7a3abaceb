"""EigenGame's learning rates x batch sizes x seeds, the grid of the papers' MNIST experiment.

    ./run.sh sweep --config=configs/eigengame/mnist_mu.py --sweep=configs/sweeps/eigengame.py

The rates are for rows scaled to [0, 1]. 24 runs.
"""


def get_sweep(h):
    return h.product(
        h.values("batch_size", (1024, 256, 32)),
        h.log_spaced("eigengame.optimizer.learning_rate", 1e-4, 1e-1, 4),
        h.seeds(2),
    )
