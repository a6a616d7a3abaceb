"""ALI-G's largest rate against the rates of SGD and Adam: how much each needs to be tuned.

    ./run.sh sweep --config=configs/classifier/mnist_mlp.py --sweep=configs/sweeps/alig_rates.py \
      --config.num_steps=469 --config.classifier.l2=0.0 --jobs=2

18 runs.
"""


def get_sweep(h):
    return h.product(
        h.values("classifier.optimizer.name", ("alig", "sgd", "adam")),
        h.log_spaced("classifier.optimizer.learning_rate", 1e-3, 1e2, 6),
    )
