"""Lanes: runs of one structure whose training steps are one vmapped program, each with its own state.

A lane has the data order, the keys and the numbers of its own run. Each lane is on one device and does all
of its run's work; of several devices, each has some of the lanes. The results are those of the run alone on
one device, up to rounding.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lib.data.pipeline import Batches
from lib.experiment import State
from lib.runtime import devices
from lib.runtime.compiled import steps_of_one_call
from lib.runtime.programs import Programs


class Lanes:
    """The states of n runs, [devices, n / devices, ..], and the program that steps all of them.

    Attributes:
      n: how many lanes there are.
    """

    def __init__(self, programs: Programs, batches: Batches, n: int, on_devices: Sequence[jax.Device]):
        """Compiles nothing and places nothing.

        Args:
          programs: of a run, on one device.
          batches: of a run.
          n: a multiple of the number of devices.
          on_devices: among which the lanes are shared.
        """
        self.n = n
        self._programs, self._batches, self._devices = programs, batches, list(on_devices)
        self._axes = programs.experiment.state_axes
        mesh = jax.sharding.Mesh(np.array(self._devices), ("lanes",))
        self._split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("lanes"))
        self._everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        self._states: State | None = None
        self._keys: Any = None
        self._constants: Any = None

    def close(self) -> None:
        """Lets go of all arrays."""
        self._states = self._keys = self._constants = None

    def fill(self, states: Sequence[State]) -> None:
        """Puts whole states of runs in all lanes; with fewer states than lanes, the last one repeatedly."""
        states = [states[min(i, len(states) - 1)] for i in range(self.n)]
        self._states = self._lane_axis(lambda *leaves: np.stack(leaves), *states)

    def put(self, lane: int, state: State) -> None:
        """Puts a whole state in one lane."""
        self._states = self._put(self._states, np.int32(lane), state)

    def take(self, lane: int) -> State:
        """Returns the whole state of one lane."""
        return jax.device_get(self._take(self._states, np.int32(lane)))

    def seat(self, keys: Sequence[jax.Array], constants: Sequence[Any]) -> None:
        """Says what the lanes' steps read besides their feeds, until the next call.

        Args:
          keys: of each lane's seed.
          constants: of each lane's batches; a resident set is the same for all.
        """
        self._keys = self._lane_axis(lambda *leaves: jnp.stack(leaves), *keys)
        if not self._batches.is_resident:
            self._constants = self._lane_axis(lambda *leaves: jnp.stack(leaves), *constants)
        elif self._constants is None:
            alone = self._programs.constants(self._batches)
            one = self._devices == self._programs.devices  # where the set is already
            self._constants = alone if one else jax.device_put(constants[0], self._everywhere)

    def step(self, feeds: Sequence[Any], steps: Sequence[int]) -> dict[str, np.ndarray]:
        """Makes k steps of all lanes.

        Args:
          feeds: of each lane, leaves [k, ..].
          steps: the number of each lane's next step.

        Returns:
          metrics [lanes, k].
        """
        feeds = self._lane_axis(lambda *leaves: np.stack(leaves), *feeds)
        first = self._lane_axis(lambda *leaves: np.stack(leaves), *map(np.uint32, steps))
        self._states, metrics = self._step(self._states, self._constants, feeds, self._keys, first)
        return {name: x.reshape(self.n, *x.shape[2:]) for name, x in jax.device_get(metrics).items()}

    def _lane_axis(self, stack: Callable, *trees: Any) -> Any:
        """Stacks one tree for each lane to leaves [devices, n / devices, ..], split over the devices."""
        shape = len(self._devices), self.n // len(self._devices)
        stacked = jax.tree.map(lambda *x: stack(*x).reshape(*shape, *x[0].shape), *trees)
        return jax.device_put(stacked, self._split)

    @functools.cached_property
    def _step(self) -> Callable:
        shared = self._batches.is_resident
        steps = functools.partial(
            steps_of_one_call, self._programs.experiment.train_step, self._batches.batch
        )
        one = functools.partial(_steps_of_one_lane, steps, self._axes)
        lanes = jax.vmap(one, (0, None if shared else 0, 0, 0, 0))
        nowhere = jax.tree.map(lambda x: None if shared else 0, self._batches.constants)
        return jax.pmap(lanes, in_axes=(0, nowhere, 0, 0, 0), devices=self._devices, donate_argnums=0)

    @functools.cached_property
    def _take(self) -> Callable:
        each = self.n // len(self._devices)
        return jax.jit(lambda states, i: jax.tree.map(lambda x: x[i // each, i % each], states))

    @functools.cached_property
    def _put(self) -> Callable:
        each = self.n // len(self._devices)

        def put(states, i, state):
            return jax.tree.map(lambda x, new: x.at[i // each, i % each].set(new), states, state)

        return jax.jit(put, donate_argnums=0, out_shardings=self._split)


# Not a method: JAX keeps the functions that it has compiled, which must not keep the lanes' arrays.
def _steps_of_one_lane(
    steps: Callable, axes: Any, state: State, constants: Any, feeds: Any, key: jax.Array, first: jax.Array
) -> tuple[State, dict[str, jax.Array]]:
    """Makes the steps of one lane under an axis of devices of size 1.

    Losses are averaged over that axis, and keys fold its index in.

    Args:
      steps: `steps_of_one_call` of an experiment.
      axes: of its state.
    """
    split = jax.tree.map(
        lambda axis, part: part if axis is None else jax.tree.map(lambda x: x[None], part),
        axes,
        state,
        is_leaf=lambda axis: axis is None,
    )
    mapped = jax.vmap(steps, (axes, None, 0, None, None), 0, axis_name=devices.AXIS, axis_size=1)
    new, metrics = mapped(split, constants, jax.tree.map(lambda x: x[None], feeds), key, first)
    return jax.tree.map(lambda x: x[0], (new, metrics))
