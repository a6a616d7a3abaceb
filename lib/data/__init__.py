"""Sets of images and of points by name, and the batches that training steps see."""

from lib.data.dataset import NOTHING, Dataset, load
from lib.data.exact_pca import Spectrum, exact_spectrum
from lib.data.loading import Splits, load_split
from lib.data.spec import DataSpec

__all__ = [
    "NOTHING",
    "DataSpec",
    "Dataset",
    "Spectrum",
    "Splits",
    "exact_spectrum",
    "load",
    "load_split",
]
