"""Random streams: which numbers set one stream of keys apart from another, all in one place.

Every key of a run descends from key(seed), by numbers that no two streams share. Step n of training has n
itself, from 0 upwards; the other streams have numbers from 2**32 - 1 downwards, which no run reaches.

    key(seed) -- n                  training step n: latents, dropout, augmentation ..
                 2**32 - 1          the initial state
                 2**32 - 2          rows that are drawn from a distribution: then step, then row
                 2**32 - 3          samples to score: then the batch's number
                 2**32 - 4          evaluation on held-out data: then the batch's number

Within a training step its key is split further by fold_in, first by the runtime and the update rule:

    step key -- 2**32 - 1          augmentation
                0, 1, ..           alternating updates: the update's number in the step
                0, 1, ..           Runge-Kutta and extragradient with fresh batches: the stage's number
                n                  the terms added after n Runge-Kutta stages

Other rules use the step's key as it is. On several devices, every device then folds in its own number, 0,
1, .. (`lib.runtime.devices.device_key`). Where losses are evaluated the key is halved, for them and for the
terms added to them; a gradient penalty folds 1 into the losses' half.

NumPy's generators of a run (the order of the data, held-out examples) have keys (seed, number): epoch e has
e itself. The images that bound scores have a seed alone. Data sets that are drawn have seeds of their own,
in lib/data.
"""

import jax
import numpy as np

SAMPLES_VERSION = 2  # of the samples that are scored: their stream had another number before
_INIT, _ROWS, _SAMPLES, _EVALUATION = (2**32 - i for i in (1, 2, 3, 4))
_AUGMENTATION = 2**32 - 1  # of a step's key
_INTERPOLATES = 1  # of a loss's key
_HOLD_OUT = 2**32 - 1  # of NumPy's keys
_PICTURES_SEED = 1  # the same latents in every picture of every run


def initial_key(seed: int) -> jax.Array:
    """Returns the key of a run's initial state."""
    return jax.random.fold_in(jax.random.key(seed), _INIT)


def step_key(key: jax.Array, step: jax.Array) -> jax.Array:
    """Returns the key of a training step, from the run's key(seed)."""
    return jax.random.fold_in(key, step)


def rows_key(seed: int) -> jax.Array:
    """Returns the key of rows that training draws from a distribution."""
    return jax.random.fold_in(jax.random.key(seed), _ROWS)


def samples_key(seed: int) -> jax.Array:
    """Returns the key of the samples that are scored."""
    return jax.random.fold_in(jax.random.key(seed), _SAMPLES)


def evaluation_key(seed: int) -> jax.Array:
    """Returns the key of an evaluation on held-out data; each batch folds its number in."""
    return jax.random.fold_in(jax.random.key(seed), _EVALUATION)


def pictures_key() -> jax.Array:
    """Returns the key of what is drawn in pictures."""
    return jax.random.key(_PICTURES_SEED)


def augmentation_key(step: jax.Array) -> jax.Array:
    """Returns the key of a training step's augmentation, from the step's own."""
    return jax.random.fold_in(step, _AUGMENTATION)


def interpolates_key(loss: jax.Array) -> jax.Array:
    """Returns the key of a gradient penalty's interpolates, from the key of the loss."""
    return jax.random.fold_in(loss, _INTERPOLATES)


def epoch_generator(seed: int, epoch: int) -> np.random.Generator:
    """Returns the generator of the order of the data in one epoch."""
    return _generator(seed, epoch)


def hold_out_generator(seed: int) -> np.random.Generator:
    """Returns the generator that chooses the examples which are held out of training."""
    return _generator(seed, _HOLD_OUT)


def bounds_generator(seed: int) -> np.random.Generator:
    """Returns the generator of the images that bound scores: the order of real ones, or pixels of noise."""
    return np.random.Generator(np.random.Philox(seed))


def _generator(seed: int, number: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, number]))
