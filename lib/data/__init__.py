"""Sets of images and of points by name, and the batches that training steps see."""

from lib.data.dataset import NOTHING, Dataset, load
from lib.data.spec import DataSpec
from lib.data.spectrum import Spectrum, exact_spectrum

__all__ = ["NOTHING", "DataSpec", "Dataset", "Spectrum", "exact_spectrum", "load"]
