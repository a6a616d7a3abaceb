"""Image sets by name, as uint8 arrays, and the batches that training steps see."""

from lib.data.dataset import Dataset, DataSpec, load

__all__ = ["DataSpec", "Dataset", "load"]
