"""Streams of random numbers: no two share a key."""

import jax
import numpy as np

from lib.runtime import streams


def test_keys_of_all_streams_steps_batches_and_seeds_differ():
    keys = [streams.pictures_key()]
    for seed in (0, 7):
        keys += [streams.initial_key(seed), streams.rows_key(seed), streams.samples_key(seed)]
        keys += [jax.random.fold_in(streams.evaluation_key(seed), batch) for batch in range(3)]
        steps = [streams.step_key(jax.random.key(seed), np.uint32(step)) for step in range(4)]
        keys += [*steps, *map(streams.augmentation_key, steps)]
    data = {jax.random.key_data(key).tobytes() for key in keys}
    assert len(data) == len(keys)


def test_generators_of_epochs_seeds_and_held_out_examples_differ():
    generators = [streams.epoch_generator(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    generators += [streams.hold_out_generator(seed) for seed in (0, 1)]
    draws = {generator.integers(2**62) for generator in generators}
    assert len(draws) == len(generators)
