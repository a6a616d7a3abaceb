"""Optimisers by name, with schedules and clipping."""

from lib.optimizers.registry import Optimizer, factory_of, from_config, make

__all__ = ["Optimizer", "factory_of", "from_config", "make"]
