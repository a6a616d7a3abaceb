"""The momentum of each player of a GAN, negative and positive, under alternating updates.

Gidel et al., 'Negative Momentum for Improved Game Dynamics', AISTATS 2019: with alternating updates,
negative momentum makes bilinear games converge.

    ./run.sh sweep \
      --config=configs/gan/fashion_mnist_negative_momentum.py --sweep=configs/sweeps/momentum.py

32 runs, meant for an accelerator.
"""

MOMENTA = [-0.5, -0.1, 0.0, 0.5]


def get_sweep(h):
    return h.product(
        *(h.values(f"gan.optimizers.{player}.kwargs.momentum", MOMENTA) for player in ("disc", "gen")),
        h.seeds(2),
    )
