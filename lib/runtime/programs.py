"""One run's experiment on devices: its first state, where states lie, what they are evaluated to.

Whoever only evaluates needs these alone: no training data are put on a device here, no folder is named.
"""

import copy
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from lib.data import Splits
from lib.data.pipeline import Batches, eval_batches
from lib.experiment import Experiment, State
from lib.runtime import devices, processes, streams
from lib.runtime.compiled import Compiled
from lib.schema import Run

_BATCHES_PER_CALL = 16  # of held-out data


class Programs:
    """The experiment of one run, its data, and its compiled functions.

    Attributes:
      experiment: of the run.
      compiled: its functions, or those of another run of the same structure.
      config: of the run.
      data: the splits for training and held out.
      devices: the devices that the functions run on, ordered by process.
      local: the slice of `devices` that is this process's own.
      on_cpu: whether the devices are CPUs.
    """

    def __init__(
        self, experiment: Experiment, config: Run, data: Splits, use_devices: list[jax.Device] | None = None
    ):
        """Compiles nothing and places nothing.

        Args:
          use_devices: ordered by process, of every process equally many; default: all.

        Raises:
          ConfigError: the experiment does not fit the number of devices.
        """
        self.experiment, self.config, self.data = experiment, config, data
        self.devices = use_devices or devices.all_devices()
        experiment.check_devices(len(self.devices))
        self.local = devices.local_part(self.devices)
        self.on_cpu = self.devices[0].platform == "cpu"
        self.compiled = Compiled(experiment, self.devices)
        self._shared = _Shared()
        self._mesh = jax.sharding.Mesh(np.array(self.devices[self.local]), (devices.AXIS,))

    def of_another(self, config: Run, experiment: Experiment) -> "Programs":
        """Returns the programs of another run, which share the data and what is compiled.

        Args:
          config: of the run; it differs in its seed and in numbers of the state alone.
          experiment: this one's where only the seed differs, else what was built from the config.
        """
        other = copy.copy(self)
        other.experiment, other.config = experiment, config
        return other

    # States.

    def init(self) -> State:
        """Returns the state before the first step, from the seed; the same on any number of devices."""
        drawn = self.compiled.draw(streams.initial_key(self.config.seed), self._first_batch())
        return jax.device_get(self.experiment.begin(drawn))  # NumPy's: no buffer is donated twice

    def abstract_state(self) -> State:
        """Returns the shapes and types of the state."""
        if self._shared.abstract_state is None:
            key = streams.initial_key(self.config.seed)
            self._shared.abstract_state = jax.eval_shape(self.experiment.init, key, self._first_batch())
        return self._shared.abstract_state

    def _first_batch(self) -> dict[str, np.ndarray]:
        return next(eval_batches(self.data.train, self.config.batch_size))

    def place(self, state: State) -> State:
        """Puts a whole state on the devices: split leaves [k, ...] become [local devices, k / n, ...]."""
        n = len(self.devices)

        def shares(leaf):
            return leaf.reshape(n, leaf.shape[0] // n, *leaf.shape[1:])[self.local]

        sharding = jax.tree.map(
            lambda axis: self._sharding(split=axis is not None),
            self.experiment.state_axes,
            is_leaf=lambda axis: axis is None,
        )
        return jax.device_put(self._by_axes(shares, state), sharding)

    def replicate(self, arrays: Any) -> Any:
        """Puts arrays on every device."""
        return jax.device_put(arrays, self._sharding(split=False))

    def constants(self, batches: Batches) -> Any:
        """Returns the constants of batches on every device: of a resident set once for all runs."""
        if not batches.is_resident:
            return self.replicate(batches.constants)
        if self._shared.resident is None:
            self._shared.resident = self.replicate(batches.constants)
        return self._shared.resident

    def whole(self, state: State) -> State:
        """Returns the state of `place` as it was, with the parts of split leaves from all processes."""
        return self._by_axes(lambda leaf: _flat(processes.gather(leaf)), state)

    def _sharding(self, split: bool) -> jax.sharding.NamedSharding:
        axes = (devices.AXIS,) if split else ()
        return jax.sharding.NamedSharding(self._mesh, jax.sharding.PartitionSpec(*axes))

    def _by_axes(self, change_split: Callable, state: State) -> State:
        """Returns the state with its leaves that are split over devices changed."""
        return jax.tree.map(
            lambda axis, part: part if axis is None else jax.tree.map(change_split, part),
            self.experiment.state_axes,
            state,
            is_leaf=lambda axis: axis is None,
        )

    # Evaluation.

    def evaluate(self, state: State) -> dict[str, float]:
        """Returns the experiment's own metrics of a placed state, over the whole held-out split."""
        return self.metrics(state, self.means(state))

    def metrics(self, state: State, means: dict[str, Any]) -> dict[str, float]:
        """Returns what `evaluate` does, from the means over the split; those of averages after a prefix."""
        numbers = self._numbers(state, means)
        for kind, averaged in self.experiment.averages(state).items():
            of_average = self._numbers(averaged, self.means(averaged))
            numbers |= {f"{kind}/{name}": value for name, value in of_average.items()}
        return numbers

    def _numbers(self, state: State, means: dict[str, Any]) -> dict[str, float]:
        metrics = {**self.experiment.eval_summary(means), **self.compiled.eval_state(self.whole(state))}
        return {name: float(value) for name, value in metrics.items()}

    def metric_names(self) -> list[str]:
        """Returns the names of what `evaluate` gives, without computing it."""
        batch = next(eval_batches(self.data.held_out, min(self.config.batch_size, self.data.held_out.size)))
        state, key = self.abstract_state(), streams.evaluation_key(self.config.seed)
        sums = jax.eval_shape(self.experiment.eval_step, state, batch, key)
        with np.errstate(all="ignore"):  # names do not depend on the numbers
            summary = self.experiment.eval_summary({n: np.ones(s.shape) for n, (s, _) in sums.items()})
        names = [*summary, *jax.eval_shape(self.experiment.eval_state, state)]
        kinds = self.experiment.averages(state)
        return names + [f"{kind}/{name}" for kind in kinds for name in names]

    def means(self, state: State) -> dict[str, Any]:
        """Returns what `eval_step` sums over the held-out split, divided by what it counts."""
        sums: dict[str, np.ndarray] = {}
        counts: dict[str, float] = {}
        key, first, batches = streams.evaluation_key(self.config.seed), 0, self._eval_batches()
        k = self._eval_batches_per_call(state, key)
        while part := list(itertools.islice(batches, k)):
            masked = [part[-1] | {"mask": np.zeros_like(part[-1]["mask"])}] * (k - len(part))
            together = jax.tree.map(lambda *x: np.stack(x, 1), *part, *masked)
            totals = jax.device_get(self.compiled.eval_steps(state, together, key, np.uint32(first)))
            first += k
            for name, (total, count) in totals.items():  # [k, ..], [k]
                sums[name] = sums.get(name, 0) + np.asarray(total, np.float64).sum(0)
                counts[name] = counts.get(name, 0) + float(count.sum())
        return {name: sums[name] / counts[name] for name in sums}

    def _eval_batches(self) -> Iterator[dict[str, np.ndarray]]:
        """Yields the local devices' shares of batches of the held-out split, [local, b, ..]."""
        n, local = len(self.devices), self.local
        b = -(-self.config.batch_size // n)  # examples on each device
        for batch in eval_batches(self.data.held_out, n * b, slice(local.start * b, local.stop * b)):
            yield jax.tree.map(lambda x: x.reshape(-1, b, *x.shape[1:]), batch)

    def _eval_batches_per_call(self, state: State, key: jax.Array) -> int:
        """Returns how many batches a call evaluates: one on CPUs where there are convolutions."""
        if self._shared.batches_per_call is None:
            k = min(_BATCHES_PER_CALL, -(-self.data.held_out.size // self.config.batch_size))
            if self.on_cpu and k > 1:
                one = jax.tree.map(lambda x: x[:, None], next(self._eval_batches()))
                text = self.compiled.eval_steps.lower(state, one, key, np.uint32(0)).as_text()
                k = 1 if "convolution" in text else k
            self._shared.batches_per_call = k
        return self._shared.batches_per_call

    def samples(self, batch_size: int) -> Callable:
        """Returns the program `(placed state, keys [devices]) -> images [devices, batch_size, ..]`."""
        return self.compiled.samples(batch_size)


@dataclasses.dataclass
class _Shared:
    """What the programs of runs of one structure find out once.

    Attributes:
      resident: a resident set on the devices.
      batches_per_call: how many batches a call evaluates.
      abstract_state: shapes and types of the state.
    """

    resident: Any = None
    batches_per_call: int | None = None
    abstract_state: State = None


def _flat(leaf: jax.Array | np.ndarray) -> np.ndarray:
    """Returns [n, k / n, ...] as [k, ...]."""
    return np.asarray(leaf).reshape(-1, *leaf.shape[2:])
