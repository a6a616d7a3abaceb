"""Optimisers by name."""

from lib.optimizers.table import Optimizer, make

__all__ = ["Optimizer", "make"]
