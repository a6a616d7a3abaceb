r"""The quadratic of the principal-flow paper, x^T diag(1, 0.01) x: steps that oscillate, beside flows.

    ./run.sh train --config=configs/games/principal_flow.py
    ./run.sh train --config=configs/games/principal_flow.py \
      --config.games.methods.sgd.optimizers.model.learning_rate=0.2

Rosca, Wu, Qin, Dherin, TMLR 2023, arXiv 2302.01952: h = 0.9 converges although h lambda = 1.8, h = 1.05
diverges. Only the principal flow (its real part is drawn) passes through every iterate.
"""

from configs.games.base import ALONE, base, method


def get_config():
    config = base("quadratic_loss", [(-0.35, -0.2)], weights=(1.0, 0.01))
    config.games.flows = ("gradient_flow", "igr", "principal_flow")
    config.games.flows_of = "sgd"
    config.games.methods.sgd = method(0.9, players=ALONE)
    return config
