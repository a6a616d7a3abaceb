"""Optimisers by name, with schedules and clipping."""

from lib.optimizers.build import Optimizer, from_config, make
from lib.optimizers.registry import kind_of

__all__ = ["Optimizer", "from_config", "kind_of", "make"]
