"""Small runs that one process trains, and each alone."""

import contextlib

import jax
import numpy as np
import pytest
from campaign import RUN

from experiments import main as alone
from experiments import registry
from experiments.sweep.batch import Command
from lib.runtime.run_folder import RunFolder

STEPS = 8
RATE = "classifier.optimizer.learning_rate"
ROUNDING = 2e-6  # of parameters of size 0.1 after STEPS steps: lanes sum in another order
RATES = (0.1, 0.2, 0.3)


def commands(folder, *settings, steps=STEPS, run=RUN) -> list[Command]:
    """Returns a command for each setting {field: value}, of the runs `folder`/0, 1, .."""
    made = []
    for i, setting in enumerate(settings):
        place = str(folder / str(i))
        fields = [f"--config.{field}={value}" for field, value in setting.items()]
        made.append(Command(place, [*run, f"--config.num_steps={steps}", f"--workdir={place}", *fields]))
    return made


def rates(*values) -> list[dict]:
    return [{RATE: value, "seed": i} for i, value in enumerate(values)]


def statuses(made) -> list[str]:
    return [RunFolder(c.folder).status().get("status", "new") for c in made]


def last_states(made) -> list:
    """Returns the states that runs saved last."""
    states = []
    for command in made:
        folder = RunFolder(command.folder)
        programs = registry.open_run(folder, use_devices=jax.local_devices()[:1])
        states.append(folder.restore(programs.abstract_state())[1])
    return states


def trained_alone(folder) -> list[Command]:
    """Trains the runs of RATES in a folder, each alone, on the first device."""
    made = commands(folder, *rates(*RATES))
    with one_device(), contextlib.redirect_stdout(None):
        assert [alone.main(c.arguments) for c in made] == [0] * len(made)
    return made


@contextlib.contextmanager
def one_device():
    """Leaves the programs of a block one device."""
    first = jax.devices()[:1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "devices", lambda: first)
        patch.setattr(jax, "local_devices", lambda: first)
        yield


def largest_relative(a, b) -> float:
    """Returns the largest difference of two states, relative to the largest number of its array, or 1."""
    pairs = zip(*map(jax.tree.leaves, jax.device_get((a, b))), strict=True)
    return max(float(np.max(np.abs(x - y)) / max(1, np.max(np.abs(y)))) for x, y in pairs)
