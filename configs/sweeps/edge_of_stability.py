"""Gradient descent with several rates, and DAL, at the edge of stability.

    ./run.sh sweep --config=configs/classifier/digits_edge.py --sweep=configs/sweeps/edge_of_stability.py \
      --jobs=2

6 runs. DAL's base rate 2 with p = 1 is at the edge of a quadratic, 1 halves its steps.
"""

FIELD = "classifier.optimizer."


def get_sweep(h):
    rate = FIELD + "learning_rate"
    return h.chain(
        h.product(h.fixed(FIELD + "name", "sgd"), h.values(rate, (0.05, 0.1, 0.2))),
        *(
            h.product(
                h.fixed(FIELD + "name", "dal"),
                h.fixed(rate, base),
                h.fixed(FIELD + "kwargs", {"p": p}),
            )
            for base, p in ((2.0, 1.0), (1.0, 1.0), (0.5, 0.5))
        ),
    )
