"""Optimisers by name, with schedules and clipping."""

from lib.optimizers.table import Optimizer, from_config, make

__all__ = ["Optimizer", "from_config", "make"]
