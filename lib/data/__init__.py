"""Sets of images and of points by name, and the batches that training steps see."""

from lib.data.dataset import Dataset, DataSpec, load

__all__ = ["DataSpec", "Dataset", "load"]
