"""First learning rates x betas of SGD-HD, with beta 0 as plain SGD: the grid of the hypergradient paper.

    ./run.sh sweep --jobs=2 \
      --config=configs/classifier/mnist_logreg.py --sweep=configs/sweeps/hypergradient_grid.py

36 runs.
"""


def get_sweep(h):
    return h.product(
        h.log_spaced("classifier.optimizer.learning_rate", 1e-6, 1e-1, 6),
        h.values("classifier.optimizer.kwargs.beta", (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)),
    )
