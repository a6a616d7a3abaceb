"""The papers, one file each: figures, the runs that they need, and claims."""

import importlib

from analysis.reproduce.paper import Paper

# Modules with PAPER, imported when they are asked for.
PAPERS = (
    "drift",
    "principal_flow",
    "eigengame",
    "generalized_eigengame",
    "hypergradient",
    "alig",
    "negative_momentum",
    "numerics",
    "stabilisers",
)


def load(name: str) -> Paper:
    """Imports a paper's file."""
    return importlib.import_module(f"analysis.reproduce.papers.{name}").PAPER
