"""Optimisers by name, with schedules and clipping."""

from lib.optimizers.build import Optimizer, from_config, is_plain_sgd, make
from lib.optimizers.registry import kind_of

__all__ = ["Optimizer", "from_config", "is_plain_sgd", "kind_of", "make"]
