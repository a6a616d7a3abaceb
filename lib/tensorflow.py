"""TensorFlow, imported only by those who need it, kept off the accelerators and off the terminal."""

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any


def tensorflow() -> Any:
    """Imports and returns the module tensorflow. The first call takes about ten seconds."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _silent_standard_error():  # its C++ start-up messages heed no setting
        import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")  # JAX's
        tf.constant(0)
    tf.get_logger().setLevel(logging.ERROR)
    return tf


def tensorflow_datasets() -> Any:
    """Imports and returns the module tensorflow_datasets."""
    tensorflow()
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    for name in ("urllib3", "absl"):  # a failed download is reported once, in our words
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return tfds


@contextlib.contextmanager
def _silent_standard_error() -> Iterator[None]:
    """Sends what C++ code writes to file descriptor 2 nowhere."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
