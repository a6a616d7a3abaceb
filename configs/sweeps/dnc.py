"""ALI-G and its rivals on repeat copy, each over its rates.

    ./run.sh sweep --config=configs/dnc/repeat_copy.py --sweep=configs/sweeps/dnc.py --jobs=2 \
      --config.num_steps=5000 --until=test/bit_error:0.001

68 runs; docs/alig.md has what came out. The published runs take 12 rates from 1e-4 to 30 for each adaptive
method, max_lr from 1e2 to 1e7 and none for ALI-G, and alpha from 0.05 to 0.95 for L4.
"""

RATES = {
    "alig": (1e1, 1e2, 1e3, 1e4, 1e5, 1e7),
    "l4_adam": (0.05, 0.15, 0.3, 0.6),
    "l4_mom": (0.05, 0.15, 0.3, 0.6),
    "adam": (1e-4, 1e-3, 1e-2, 1e-1),
    "adagrad": (1e-3, 1e-2, 1e-1, 1.0),
    "rmsprop": (1e-4, 1e-3, 1e-2, 1e-1),
}
MOMENTA = {"sgd": {}, "nag": {"momentum": 0.9, "nesterov": True}}  # of SGD
SGD_RATES = (1e-3, 1e-2, 1e-1, 1.0)


def get_sweep(h):
    name, rate, kwargs = (f"dnc.optimizer.{x}" for x in ("name", "learning_rate", "kwargs"))
    runs = [{name: n, rate: r, kwargs: {}} for n, rates in RATES.items() for r in rates]
    runs += [{name: "sgd", rate: r, kwargs: k} for k in MOMENTA.values() for r in SGD_RATES]
    return h.product(runs, h.seeds(2))
