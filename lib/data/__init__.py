"""Sets of images and of points by name, and the batches that training steps see."""

from lib.data.dataset import Dataset
from lib.data.loading import NOTHING, Splits, load, load_split, load_splits
from lib.data.principal_components import PrincipalComponents, exact_pca
from lib.data.spec import DataSpec

__all__ = [
    "NOTHING",
    "DataSpec",
    "Dataset",
    "PrincipalComponents",
    "Splits",
    "exact_pca",
    "load",
    "load_split",
    "load_splits",
]
