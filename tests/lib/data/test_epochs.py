"""Epochs in steps: to which epoch a step belongs, when an epoch ends, and how many steps some take."""

import numpy as np
import one_number
import pytest
from conftest import small_config

from experiments import registry
from lib.data import Dataset, DataSpec, load
from lib.data.epochs import Epochs, resolved
from lib.data.order import batch_indices
from lib.errors import ConfigError
from lib.schema import MOST_STEPS


@pytest.mark.parametrize(("size", "rows"), [(21, 8), (24, 8), (60_000, 128), (5, 12), (7, 1), (10, 10)])
def test_a_step_belongs_to_the_epoch_of_its_first_row(size, rows):
    epochs = Epochs(size, rows)
    row = np.arange(3 * size + rows) // size  # the epoch of each row, in the order in which they come
    for step in range(3 * size // rows):
        assert epochs.of(step) == row[step * rows]
        begun = [epoch for epoch in range(3) if epochs.end(epoch) <= step]
        assert begun == [epoch for epoch in range(3) if row[step * rows] > epoch]
    assert epochs.per_step == rows / size


def test_the_steps_of_some_epochs_see_every_example_as_often():
    size, rows = 21, 8
    steps = Epochs(size, rows).num_steps(2.0)
    rows_seen = np.concatenate([batch_indices(size, rows, 0, step) for step in range(steps)])
    assert np.bincount(rows_seen, minlength=size).min() == 2
    fewer = np.concatenate([batch_indices(size, rows, 0, step) for step in range(steps - 1)])
    assert np.bincount(fewer, minlength=size).min() == 1


@pytest.mark.parametrize(
    ("num_epochs", "size", "rows", "steps"),
    [
        (1.0, 60_000, 128, 469),
        (10.0, 60_000, 128, 4_688),
        (2.0, 21, 8, 6),
        (2.0, 24, 8, 6),
        (0.5, 24, 8, 2),
        (1e-9, 24, 8, 1),
        (0.07, 100, 7, 1),  # 0.07 * 100 is 7.000000000000001 in floats
        (1.1, 10, 11, 1),
        (3.0, 5, 12, 2),
    ],
)
def test_epochs_are_so_many_steps_rounded_up(num_epochs, size, rows, steps):
    assert Epochs(size, rows).num_steps(num_epochs) == steps


def test_epochs_of_a_config_count_what_a_step_sees_of_what_is_not_held_out():
    data = load("digits", "train")
    assert data.size == 1500
    alternating = ("gan.updates=alternating", "gan.num_disc_updates=3")
    for overrides, train, steps in (
        (("batch_size=8", "num_epochs=2"), data, 375),
        (("batch_size=8", "num_epochs=2"), one_number.images(21), 6),
        (("batch_size=7", "num_epochs=1.5"), data, 322),
        (("batch_size=8", "num_epochs=2", *alternating), data, 125),
        (("batch_size=8", "num_epochs=0"), data, 4),
    ):
        config = registry.validated(small_config("gan/digits", *overrides))
        assert resolved(config, train).num_steps == steps
    held_out = ("dataset.validation_size=300", "batch_size=8", "num_epochs=2", *alternating)
    programs = registry.programs(registry.validated(small_config("gan/digits", *held_out)))
    assert programs.data.train.size == 1200
    assert programs.config.num_steps == 100
    assert programs.experiment.batches_per_step == 3


@pytest.mark.parametrize(
    "overrides",
    [
        ("updates=alternating", "num_disc_updates=2", "num_gen_updates=3"),
        ("updates=alternating", "num_disc_updates=2", "player_batches=separate"),
        ("updates=runge_kutta_4", "stage_batches=fresh"),
        ("updates=extragradient", "stage_batches=fresh", "player_batches=separate"),
        (),
    ],
)
def test_the_batches_of_a_step_are_those_of_the_experiment(overrides):
    plain = ("gan.allow_unsound=True", *(f"gan.{override}" for override in overrides))
    config = registry.validated(small_config("gan/digits", *plain))
    experiment = registry.build(config, DataSpec.of(load("digits", "train")))
    assert (config.batches_per_step > 1) == bool(overrides)
    assert experiment.batches_per_step == config.batches_per_step


@pytest.mark.parametrize("override", ["num_epochs=2", "epoch_means=True"])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("games/bilinear", "'none' reads no data: there are no epochs"),
        ("eigengame/linear_spectrum", "'linear_spectrum' draws new points in every step: there are no"),
    ],
)
def test_epochs_of_data_without_any_are_refused(name, why, override):
    with pytest.raises(ConfigError, match=why) as error:
        registry.programs(registry.validated(small_config(name, override)))
    assert error.value.field == f"config.{override.partition('=')[0]}"
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("-1", "should be greater than or equal to 0"),
        ("nan", "should be a finite number"),
        ("inf", "should be a finite number"),
        ("1e300", "1e.300 epochs are more than 4,294,967,295 steps; use at most 22,906,492$"),
        ("22906493", "22906493|2.29065e.07 epochs are more than"),
        ("x", "'x' is not of type float"),
    ],
)
def test_numbers_of_epochs_that_cannot_be_are_refused(value, message):
    with pytest.raises(ConfigError, match=message) as error:
        registry.programs(registry.validated(small_config("gan/digits", f"num_epochs={value}")))
    assert error.value.field == "config.num_epochs"


def test_as_many_epochs_as_can_be_counted():
    config = registry.validated(small_config("gan/digits", "num_epochs=22906492"))
    assert MOST_STEPS - 200 < resolved(config, load("digits", "train")).num_steps <= MOST_STEPS


def test_a_set_of_one_example_has_epochs():
    one = Dataset(np.zeros((1, 8, 8, 1), np.uint8), np.zeros(1, np.int32), 1, name="one")
    config = registry.validated(small_config("gan/digits", "num_epochs=3", "batch_size=1"))
    assert resolved(config, one).num_steps == 3
