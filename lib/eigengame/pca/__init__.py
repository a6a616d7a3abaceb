"""Principal components as a game: EigenGame and its relatives."""

from lib.eigengame.pca.rules import PCA_RULES, PcaRule

__all__ = ["PCA_RULES", "PcaRule"]
