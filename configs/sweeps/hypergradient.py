"""The six methods of the hypergradient paper: SGD, SGDN, Adam, and each with hypergradient descent.

    ./run.sh sweep --config=configs/classifier/mnist_logreg.py --sweep=configs/sweeps/hypergradient.py \
      --jobs=2

Also for mnist_mlp.py. 18 runs.
"""

OPTIMIZER = "classifier.optimizer"


def get_sweep(h, adam_beta=1e-7):
    methods = (
        {"name": "sgd"},
        {"name": "sgd_hd", "kwargs.beta": 1e-3},
        {"name": "sgd", "kwargs.momentum": 0.9, "kwargs.nesterov": True},
        {"name": "sgdn_hd", "kwargs.momentum": 0.9, "kwargs.beta": 1e-3},
        {"name": "adam"},
        {"name": "adam_hd", "kwargs.beta": adam_beta},
    )
    runs = [{f"{OPTIMIZER}.{field}": value for field, value in method.items()} for method in methods]
    return h.product(runs, h.seeds(3))
