"""Squares of one size out of images of any: resized to a shorter side, then cut out of the centre.

Bilinear, with antialiasing and the aspect kept, as torchvision's Resize and CenterCrop of Pillow's images.
"""

from typing import Annotated, Any

import pydantic
from pydantic import Field

from lib.config import Section
from lib.errors import ConfigError
from lib.tensorflow import tensorflow

_Side = Annotated[int, Field(gt=0, le=8192)]


class Arguments(Section):
    """`config.dataset.kwargs` of TFDS's image sets and of folders of images.

    Attributes:
      size: side of the square that is kept of each image; None: images stay as they are.
      resize: the images' shorter side before that is cut out; None: size.
    """

    size: _Side | None = None
    resize: _Side | None = None

    @pydantic.model_validator(mode="after")
    def _squares_fit(self):
        if self.resize is not None and self.size is None:
            raise ConfigError("needs size; set that too, or leave this out", "resize")
        if self.resize is not None and self.resize < self.size:
            raise ConfigError(f"{self.resize} is less than size; use {self.size} or more", "resize")
        return self

    @property
    def shorter_side(self) -> int | None:
        """Returns what the shorter side is resized to; None where images stay as they are."""
        return self.resize or self.size

    def shape(self, original: tuple[int | None, int | None, int]) -> tuple[int | None, int | None, int]:
        """Returns the (h, w, c) of an image; None for a side that is not the same for all of them."""
        return (self.size, self.size, original[2]) if self.size else original


def place(side: int, size: int) -> int:
    """Returns where a square begins along a side, half to even, as torchvision's."""
    return round((side - size) / 2)


def cut(image: Any, arguments: Arguments) -> Any:
    """Returns the square of an image, TensorFlow's uint8 [h, w, c] to [size, size, c].

    The longer side is rounded down to whole pixels, and the place of the square to the nearest, half to
    even, as torchvision's.
    """
    if not arguments.size:
        return image
    tf, size = tensorflow(), arguments.size
    sides = tf.shape(image)[:2]
    sides = sides * arguments.shorter_side // tf.reduce_min(sides)
    resized = tf.image.resize(tf.cast(image, tf.float32), sides, antialias=True)
    top, left = tf.unstack(tf.cast(tf.round((sides - size) / 2), tf.int32))
    square = resized[top : top + size, left : left + size]
    return tf.cast(tf.round(square), tf.uint8)
