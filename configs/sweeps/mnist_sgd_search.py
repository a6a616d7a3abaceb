"""Searches where simultaneous SGD makes MNIST digits: networks, spectral norm, learning rates: 48 runs.

Rosca, Wu, Dherin, Barrett, 'Discretization Drift in Two-Player Games', ICML 2021: the published MNIST
networks, and the same family with batch statistics in the generator, at a width for CPUs.

    ./run.sh sweep --config=configs/gan/mnist_plain.py --sweep=configs/sweeps/mnist_sgd_search.py --eval
"""

# {networks: what they are given, and how many steps}
NETS = {
    "dcgan": {"num_steps": 1500, "checkpoint_every": 1500, "gan.nets.kwargs": {"width": 16, "kernel": 4}},
    "mnist": {"num_steps": 400, "checkpoint_every": 400},
}


def get_sweep(h):
    nets = [{"gan.nets.name": name, **fields} for name, fields in NETS.items()]
    norms = h.values("gan.spectral_norm", ["none", "power_iteration"])
    rates = [
        {
            "gan.optimizers.disc.learning_rate": rate,
            "gan.optimizers.gen.learning_rate": round(ratio * rate, 3),
        }
        for rate in (0.01, 0.03, 0.1, 0.3)
        for ratio in (0.3, 1.0, 3.0)
    ]
    cheap = h.zipped(h.fixed("gan.player_batches", "shared"), h.fixed("figures_every", 0))
    return h.product(nets, norms, rates, cheap, h.fixed("eval_every", 0))
