"""Means of training metrics over epochs, beside plain NumPy's of the metrics of single steps."""

import jax.numpy as jnp
import numpy as np
import one_number
import pytest
from conftest import trained

from lib.data.epochs import Epochs
from lib.runtime import records
from lib.runtime.epoch_means import EpochMeans
from lib.runtime.interval_means import IntervalMeans, NotFiniteError

SIZE = 21  # examples of the run: an epoch has no whole number of batches of 8, or of 4
STEPS = 13  # an epoch ends after 3, 6, 8 and 11 steps of 8


@pytest.fixture
def train(tmp_path):
    """Returns a function that trains one number with lines of epochs; it returns the folder of metrics."""

    def train(folder: str, num_devices: int = 1, data=None, **config):
        config = {"num_steps": STEPS, "epoch_means": True, **config}
        trainer = one_number.trainer(tmp_path / folder, config, num_devices, data)
        trained(trainer)
        return trainer.folder.metrics

    return train


def expected(each: list[dict], rows: int, size: int = SIZE, first: int = 0) -> list[dict]:
    """Returns the lines of epochs of the steps from `first` on, of the lines of single steps."""
    epoch = np.arange(STEPS) * rows // size
    lines = []
    for number in range(epoch[first], STEPS * rows // size):
        steps = [step for step in range(first, STEPS) if epoch[step] == number]
        if steps:
            of_steps = [each[step + 1] for step in steps]
            means = {name: np.mean([line[name] for line in of_steps]) for name in ("loss", "x")}
            lines.append({"step": steps[-1] + 1, "epoch": number + 1, **means})
    return lines


def assert_same(lines: list[dict], others: list[dict], rel: float = 1e-12) -> None:
    """Asserts that there are lines, and that they are the others but for the rounding of sums."""
    assert lines
    assert [line["step"] for line in lines] == [line["step"] for line in others]
    assert [line["epoch"] for line in lines] == [line["epoch"] for line in others]
    for a, b in zip(lines, others, strict=True):
        assert a == pytest.approx(b, rel=rel)


@pytest.mark.parametrize(
    "config",
    [
        {"log_every": 1},
        {"log_every": 13, "checkpoint_every": 13},
        {"log_every": 5, "checkpoint_every": 2, "eval_every": 4},
        {"log_every": 10, "checkpoint_every": 10, "steps_per_dispatch": 5},
        {"log_every": 12, "checkpoint_every": 12, "steps_per_dispatch": 12},  # of it, four epochs' ends
    ],
    ids=str,
)
def test_lines_are_the_means_over_true_epochs(train, config):
    each = records.read_training(train("each", log_every=1, epoch_means=False))
    assert len({line["loss"] for line in each[1:]}) == STEPS
    lines = records.read_epochs(train("run", **config))
    assert [line["step"] for line in lines] == [3, 6, 8, 11]
    rel = 1e-5 if "steps_per_dispatch" in config else 1e-12  # calls of several steps are another program
    assert_same(lines, expected(each, 8), rel)


@pytest.mark.parametrize(
    ("batch_size", "size", "num_devices"), [(8, 21, 2), (7, 21, 1), (4, 21, 2), (6, 7, 1)]
)
def test_batches_that_divide_an_epoch_and_such_that_do_not(train, batch_size, size, num_devices):
    config = {"batch_size": batch_size, "data": one_number.images(size), "num_devices": num_devices}
    each = records.read_training(train("each", log_every=1, **config))
    lines = records.read_epochs(train("run", log_every=4, checkpoint_every=4, **config))
    assert len(lines) == STEPS * batch_size // size
    assert_same(lines, expected(each, batch_size, size))


def test_a_resumed_run_has_no_line_of_the_epoch_in_which_it_was_and_none_twice(train):
    config = {"log_every": 4, "checkpoint_every": 4}
    each = records.read_training(train("each", log_every=1))
    metrics = train("run", num_steps=11, keep_checkpoints=9, **config)
    before = records.read_epochs(metrics)
    assert [line["step"] for line in before] == [3, 6, 8, 11]
    for step in (8, 11):  # training is killed after it has gone on for a while
        (metrics.parent / "checkpoints" / str(step)).rename(metrics.parent / f"lost{step}")
    lines = records.read_epochs(train("run", **config))
    assert lines[0] == before[0]
    assert_same(lines, [line for line in expected(each, 8) if line["step"] != 6])


def test_lines_of_steps_that_are_lost_are_dropped_also_where_none_are_written_any_more(train):
    config = {"num_steps": 8, "checkpoint_every": 4, "log_every": 4}
    metrics = train("run", **config)
    before = records.read_epochs(metrics)
    (metrics.parent / "checkpoints" / "8").rename(metrics.parent / "lost")
    assert records.read_epochs(train("run", **config, epoch_means=False)) == before[:1]


def test_a_run_without_them_has_no_such_file(train):
    metrics = train("run", epoch_means=False)
    assert {path.name for path in metrics.iterdir()} == {"train.jsonl"}
    assert records.read_epochs(metrics) == []


def test_tensorboard_has_them_under_epochs(train):
    metrics = train("run")
    (events,) = (metrics.parent / "tensorboard" / "epochs").iterdir()
    assert b"epochs/loss" in events.read_bytes()


def test_a_step_may_see_several_epochs():
    means = EpochMeans(Epochs(size=3, rows_per_step=8))  # steps begin in epochs 0, 2, 5, 8, ..
    lines = means.add(0, {"x": np.array([1.0, 2.0, 3.0])})
    assert lines == {1: {"epoch": 1, "x": 1.0}, 2: {"epoch": 3, "x": 2.0}, 3: {"epoch": 6, "x": 3.0}}


def test_numbers_are_fetched_when_an_epoch_ends_or_when_asked(monkeypatch):
    fetched = []
    means = IntervalMeans.means
    monkeypatch.setattr(IntervalMeans, "means", lambda self: fetched.append(1) or means(self))
    epochs = EpochMeans(Epochs(size=21, rows_per_step=8))
    assert epochs.add(0, {"x": jnp.array([1.0, 5.0])}) == {}
    assert not fetched
    assert epochs.add(2, {"x": jnp.array([3.0, 7.0])}) == {3: {"epoch": 1, "x": 3.0}}
    assert len(fetched) == 1
    epochs.fetch()
    assert len(fetched) == 2
    assert epochs.add(4, {"x": jnp.array([8.0, 9.0])}) == {6: {"epoch": 2, "x": 8.0}}


def test_what_is_not_finite_is_named_where_an_epoch_ends():
    epochs = EpochMeans(Epochs(size=21, rows_per_step=8))
    epochs.add(0, {"x": jnp.array([1.0, jnp.nan])})
    with pytest.raises(NotFiniteError, match="step 2: not finite: x"):
        epochs.add(2, {"x": jnp.array([1.0])})
