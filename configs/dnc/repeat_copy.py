"""A differentiable neural computer learns to repeat what it has seen, with ALI-G.

    ./run.sh train --config=configs/dnc/repeat_copy.py

The task of the ALI-G paper's second experiment, whose published networks it has; rivals and rates:
configs/sweeps/dnc.py. Results: docs/alig.md.
"""

from configs.dnc.base import base


def get_config():
    config = base()
    config.num_steps = 10_000
    return config
