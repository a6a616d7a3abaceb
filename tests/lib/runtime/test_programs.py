"""The compiled functions of an experiment: the initial state, and means over the held-out split."""

import numpy as np
import one_number
import pytest
from conftest import states_equal


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
