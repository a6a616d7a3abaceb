"""ALI-G and the methods of its paper on one network: rates over three orders of magnitude, three seeds.

    ./run.sh sweep --config=configs/classifier/mnist_mlp.py --sweep=configs/sweeps/alig_rivals.py \
      --config.num_steps=469 --config.eval_every=47 --jobs=2 --until=test/accuracy:0.95

168 runs, of one epoch of MNIST; docs/alig.md has what came out. No weights decay, and none has momentum but
`sgd`; DFW has the hinge loss that it is for, plain and smoothed.
"""

from configs import alig

# (method, its smallest rate; the largest is a thousand times as large; other arguments)
METHODS = [
    ("alig", 1e-2, {}),
    ("sps_max", 1e-2, {}),
    ("dfw", 1e-2, {}),
    ("dfw", 1e-2, {"smooth": True}),
    ("bpgrad", 1e-3, {}),
    ("l4_mom", 1.5e-3, {}),
    ("l4_adam", 1.5e-3, {}),
    ("sgd", 1e-3, {"momentum": 0.9}),
    ("adagrad", 1e-4, {}),
    ("adam", 1e-5, {}),
    ("amsgrad", 1e-5, {}),
    ("adamw", 1e-5, {}),
    ("yogi", 1e-5, {}),
    ("prodigy", 1e-2, {}),
]


def get_sweep(h):
    runs = [
        alig.method(name, float(f"{low * times:.3g}"), **{"momentum": None} | kwargs)
        for name, low, kwargs in METHODS
        for times in (1, 10, 100, 1000)
    ]
    return h.product(runs, h.seeds(3))
