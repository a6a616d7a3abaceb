"""Entailment between two sentences (SNLI) by a bidirectional LSTM, with ALI-G.

    ./run.sh train --config=configs/classifier/snli.py --config.dataset.kwargs.vectors=glove.840B.300d.txt

The ALI-G paper's experiment on natural language, whose published network has 47 million parameters; every
method of its table: configs/sweeps/alig_snli.py. The word vectors are those that the paper took; without a
file the network learns its own. It needs an accelerator. Differences: docs/alig.md.
"""

from configs import alig, common
from configs.classifier.base import base

TRAIN = 549_367  # pairs with a label


def get_config():
    config = base()
    config.dataset.name = "snli"
    config.dataset.eval_split = "validation"
    config.update(alig.length(20, 64, TRAIN))
    config.log_every = 100
    config.classifier.model = common.named("sentence_pairs")
    config.classifier.optimizer = common.optimizer("alig", 1.0)
    config.classifier.optimizer.clip_norm = 5.0
    return config
