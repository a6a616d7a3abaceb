"""The six methods of the hypergradient paper: SGD, SGDN, Adam, and each with hypergradient descent.

    ./run.sh sweep --config=configs/classifier/mnist_logreg.py --sweep=configs/sweeps/hypergradient.py --jobs=2

Also for mnist_mlp.py, and for cifar10_vgg.py, where Adam-HD's beta is 1e-8. 18 runs.
"""

OPTIMIZER = "classifier.optimizer"
METHODS = (
    {"name": "sgd"},
    {"name": "sgd_hd", "kwargs.beta": 1e-3},
    {"name": "sgd", "kwargs.momentum": 0.9, "kwargs.nesterov": True},
    {"name": "sgdn_hd", "kwargs.momentum": 0.9, "kwargs.beta": 1e-3},
    {"name": "adam"},
    {"name": "adam_hd", "kwargs.beta": 1e-7},
)


def get_sweep(h):
    methods = [{f"{OPTIMIZER}.{field}": value for field, value in method.items()} for method in METHODS]
    return h.product(methods, h.seeds(3))
