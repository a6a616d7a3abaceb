"""DAL-p for several p, from SGD (0) to the full adaptation (1), and beyond.

    ./run.sh sweep --config=configs/classifier/mnist_dal.py --sweep=configs/sweeps/dal.py --jobs=2

Also for cifar10_resnet_dal.py. 8 runs.
"""


def get_sweep(h):
    return h.product(h.values("classifier.optimizer.kwargs.p", (0.0, 0.25, 0.5, 1.0)), h.seeds(2))
