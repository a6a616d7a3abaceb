"""The compiled functions of an experiment: the initial state, and means over the held-out split."""

from collections.abc import Callable

import numpy as np
import one_number
import pytest
from conftest import on_a_device, states_equal


def test_other_seeds_give_other_states_and_other_devices_do_not(tmp_path):
    first, other, two = (
        one_number.trainer(tmp_path, {"seed": seed}, num_devices).programs.init()
        for seed, num_devices in ((0, 1), (1, 1), (0, 2))
    )
    assert not states_equal(first, other)
    assert states_equal(first, two)


@pytest.mark.parametrize(("batch_size", "num_devices"), [(8, 1), (21, 1), (9, 2)])
def test_evaluation_counts_each_of_21_examples_once(tmp_path, batch_size, num_devices):
    """Needs neither batches that divide the examples nor devices that divide the batch."""
    programs = one_number.trainer(tmp_path, {"batch_size": batch_size}, num_devices).programs
    state = programs.place({"n": np.int32(0), "x": np.float32(120.0)})
    brightness = one_number.images().image.mean((1, 2, 3))
    assert programs.evaluate(state) == {"loss": pytest.approx(np.mean((120 - brightness) ** 2), rel=1e-6)}


def test_the_training_set_is_placed_by_training_and_by_nothing_else(tmp_path):
    """Asks at the first call of each of the experiment's functions, which is when it is compiled."""
    data = one_number.images(1009)
    placed = {}

    def noting(function: Callable) -> Callable:
        """Returns the function, which first notes whether the set is on a device."""

        def noted(*args):
            placed[function.__name__] = on_a_device(data.image)
            return function(*args)

        return noted

    functions = {
        f.__name__: noting(f) for f in (one_number.init, one_number.eval_step, one_number.train_step)
    }
    config = {"num_steps": 1, "batch_size": 504}
    functions["draw"] = functions.pop("init")
    trainer = one_number.trainer(tmp_path, config, data=data, **functions)
    state = trainer.programs.init()
    assert trainer.programs.evaluate(trainer.programs.place(state))["loss"] > 0
    assert not on_a_device(data.image)
    trainer.train(state, 0)
    assert placed == {"init": False, "eval_step": False, "train_step": True}
