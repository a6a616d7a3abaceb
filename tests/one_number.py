"""An experiment of one number on a few small images, for tests of what runs experiments.

x <- 0.9 x + mean over the batch of (brightness - label) + noise: its value depends on every batch, on every
key, and on their order.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from configs import common
from lib.config import validate
from lib.data import Dataset, Splits
from lib.experiment import Experiment
from lib.runtime import devices
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder
from lib.runtime.trainer import Trainer
from lib.schema import Run

_SHORT = {"experiment": "one_number", "num_steps": 4, "batch_size": 8}
_SHORT |= {"log_every": 1, "eval_every": 0, "checkpoint_every": 2}


def brightness(image: jax.Array) -> jax.Array:
    """Returns the mean of each image or point: [n, ...] -> [n]."""
    return jnp.mean(image.reshape(len(image), -1).astype(jnp.float32), 1)


def init(key: jax.Array, batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Returns the state before the first step: x, and the number of steps."""
    del batch
    return {"n": jnp.int32(0), "x": jax.random.uniform(key)}


def train_step(state, batch, key):
    """Returns the state after a step, and its metrics."""
    mean = devices.pmean(jnp.mean(brightness(batch["image"]) / 255 - batch["label"]))
    x = 0.9 * state["x"] + mean + 0.1 * jax.random.uniform(key)
    return {"n": state["n"] + 1, "x": x}, {"loss": x**2, "x": x}


def eval_step(state, batch, key):
    """Returns the squared distance of x from each example, summed, and the number of examples."""
    del key
    distance = (state["x"] - brightness(batch["image"])) ** 2
    return {"loss": (devices.psum(jnp.sum(distance * batch["mask"])), devices.psum(jnp.sum(batch["mask"])))}


def images(n: int = 21) -> Dataset:
    """Returns n random images of 2 x 2 pixels with labels."""
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (n, 2, 2, 1), np.uint8)
    return Dataset(image, random.integers(0, 3, n, np.int32), 3)


def trainer(
    folder: Path,
    config: Mapping[str, Any] = MappingProxyType({}),
    num_devices: int = 1,
    data: Dataset | None = None,
    **changes: Callable,
) -> Trainer:
    """Returns a trainer of the experiment, on one device unless it says otherwise.

    Args:
      folder: where it writes.
      config: {field: value} that differ from a short run's, such as {"num_steps": 6}.
      num_devices: how many to train on.
      data: to train and to evaluate on; by default `images()`.
      changes: functions of the experiment that are replaced.
    """
    raw = common.base()
    raw.update_from_flattened_dict({**_SHORT, **config})
    data = data or images()
    functions = {"draw": init, "train_step": train_step, "eval_step": eval_step} | changes
    programs = Programs(
        Experiment(**functions), validate(Run, raw), Splits(data, data), jax.local_devices()[:num_devices]
    )
    run_folder = RunFolder(folder)
    run_folder.create()
    return Trainer(programs, run_folder)
