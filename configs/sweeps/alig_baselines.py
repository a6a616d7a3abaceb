"""The adaptive baselines of the ALI-G paper that optax has, each over three rates, on the wide ResNet.

    ./run.sh sweep \
      --config=configs/classifier/cifar10_wrn_adaptive.py --sweep=configs/sweeps/alig_baselines.py

15 runs. It needs an accelerator.
"""

OPTIMIZER = "classifier.optimizer"


def get_sweep(h):
    # AdamW decays weights itself, apart from the gradient; the others have the config's L2 in it.
    decoupled = {
        f"{OPTIMIZER}.name": "adamw",
        f"{OPTIMIZER}.kwargs.weight_decay": 5e-4,
        "classifier.l2": 0.0,
    }
    return h.product(
        [*h.values(f"{OPTIMIZER}.name", ("adam", "amsgrad", "adagrad", "yogi")), decoupled],
        h.log_spaced(f"{OPTIMIZER}.learning_rate", 1e-4, 1e-2, 3),
    )
