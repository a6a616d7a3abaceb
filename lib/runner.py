"""The runner: owns devices, compilation, the order of data, checkpoints, logs and signals.

    for step in first .. num_steps:  state, metrics = train_step(state, batch(step), key(step))

`key(step)` is fold_in(key(seed), step) and `batch(step)` a function of (seed, step), so a run that is
stopped, in whatever way, and started again is bitwise the run that never stopped.
"""

import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lib import checkpoints, devices, figures, processes
from lib.config import ConfigError
from lib.data import Dataset
from lib.data.pipeline import Order, eval_batches, make
from lib.experiment import Experiment, State
from lib.files import replacing
from lib.logging import first_not_finite, read_json_lines
from lib.outputs import Outputs
from lib.schema import Run
from lib.signals import stop_requests
from lib.workdir import Workdir

_STEPS_PER_DISPATCH = 50  # on accelerators, where a call costs more than it does on a CPU
_FIGURES_SEED = 1  # the same latents in every picture of a run


class NotFiniteError(Exception):
    """A metric or the state became NaN or infinite. The text says when, and what is kept."""


class Stopped(NamedTuple):
    """How a call of `Runner.train` ended: at which step, by which signal (None: it is finished)."""

    step: int
    signal: int | None


class Runner:
    """Trains and evaluates one experiment in one work directory."""

    def __init__(
        self,
        experiment: Experiment,
        config: Run,
        train: Dataset,
        held_out: Dataset,
        workdir: Workdir,
        use_devices: list[jax.Device] | None = None,
    ):
        """Places the data; compiles nothing.

        Args:
          use_devices: ordered by process, of every process equally many; default: all.

        Raises:
          ConfigError: the experiment does not fit the number of devices.
        """
        self.experiment, self.config, self.workdir = experiment, config, workdir
        self.data = (train, held_out)
        self.devices = use_devices or devices.all_devices()
        experiment.check_devices(len(self.devices))
        self._local = devices.local_part(self.devices)
        self._on_cpu = self.devices[0].platform == "cpu"
        order = Order(
            train.size,
            config.batch_size,
            config.seed,
            len(self.devices),
            experiment.batches_per_step,
            self._local,
        )
        self._batches = make(train, order, config.dataset.device_limit_gb)
        self._epochs_per_step = experiment.batches_per_step * config.batch_size / train.size
        mesh = jax.sharding.Mesh(np.array(self.devices[self._local]), (devices.AXIS,))
        placed = lambda *axes: jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))
        self._state_sharding = jax.tree.map(
            lambda axis: placed() if axis is None else placed(devices.AXIS),
            experiment.state_axes,
            is_leaf=lambda axis: axis is None,
        )
        self._constants = jax.device_put(self._batches.constants, placed())
        self._key = jax.random.key(config.seed)
        self._per_dispatch = config.steps_per_dispatch or (
            1 if self._on_cpu else _largest_divisor(self._intervals(), _STEPS_PER_DISPATCH)
        )

    def check_trainable(self) -> None:
        """Raises a ConfigError for what only matters to training: how steps and batches are divided."""
        config = self.config
        devices.check_divides(config.batch_size, len(self.devices), self.experiment.min_device_batch)
        for every in self._intervals():
            if every % self._per_dispatch:
                best = _largest_divisor(self._intervals(), self._per_dispatch)
                raise ConfigError(
                    f"config.steps_per_dispatch: {self._per_dispatch} does not divide {every}, one of "
                    f"log_every, eval_every, figures_every, checkpoint_every; use {best}, or 0 for the best"
                )

    def _intervals(self) -> list[int]:
        """Numbers of steps after which the runner has to act."""
        config = self.config
        every = (config.log_every, config.eval_every, config.figures_every, config.checkpoint_every)
        return [n for n in every if n]

    # The compiled programs.

    def _pmap(self, function: Callable, in_axes: tuple, out_axes: Any, **kwargs) -> Callable:
        return jax.pmap(
            function,
            axis_name=devices.AXIS,
            in_axes=in_axes,
            out_axes=out_axes,
            devices=self.devices,
            **kwargs,
        )

    @functools.cached_property
    def _train(self) -> Callable:
        """(state, constants, feeds [d, k, ..], key, first step) -> (state, metrics [k])."""
        axes = self.experiment.state_axes

        def steps(state, constants, feeds, key, first):
            def one(state, feed, step):
                batch = self._batches.batch(constants, feed)
                return self.experiment.train_step(state, batch, jax.random.fold_in(key, step))

            k = jax.tree.leaves(feeds)[0].shape[0]
            if k == 1:  # no loop: XLA's CPU backend is slow at convolutions inside one
                state, metrics = one(state, jax.tree.map(lambda x: x[0], feeds), first)
                return state, jax.tree.map(lambda x: x[None], metrics)
            return jax.lax.scan(
                lambda s, x: one(s, *x), state, (feeds, first + jnp.arange(k, dtype=jnp.uint32))
            )

        # Not a bare None: JAX's pmap would mistake an empty dict of constants for one leaf.
        nowhere = jax.tree.map(lambda x: None, self._batches.constants)
        return self._pmap(steps, (axes, nowhere, 0, None, None), (axes, None), donate_argnums=0)

    @functools.cached_property
    def _eval(self) -> Callable:
        axes = self.experiment.state_axes
        return self._pmap(self.experiment.eval_step, (axes, 0, None), None)

    @functools.cached_property
    def _eval_state(self) -> Callable:
        return jax.jit(self.experiment.eval_state)

    # State.

    def init(self) -> State:
        """The state before the first step, from the seed; the same on any number of devices."""
        batch = next(eval_batches(self.data[0], self.config.batch_size))
        key = jax.random.fold_in(self._key, 2**32 - 1)  # no step has this number
        return jax.jit(self.experiment.init)(key, batch)

    def place(self, state: State) -> State:
        """Puts a whole state on the devices: split leaves [k, ...] become [local devices, k / n, ...]."""
        n = len(self.devices)
        shares = lambda leaf: leaf.reshape(n, leaf.shape[0] // n, *leaf.shape[1:])[self._local]
        return jax.device_put(self._by_axes(shares, state), self._state_sharding)

    def whole(self, state: State) -> State:
        """The state of `place` as it was, with the parts of split leaves from all processes."""
        return self._by_axes(lambda leaf: _flat(processes.gather(leaf)), state)

    def _by_axes(self, change_split: Callable, state: State) -> State:
        """The state with its leaves that are split over devices changed."""
        return jax.tree.map(
            lambda axis, part: part if axis is None else jax.tree.map(change_split, part),
            self.experiment.state_axes,
            state,
            is_leaf=lambda axis: axis is None,
        )

    def abstract_state(self) -> State:
        """Shapes and types of the state."""
        return jax.eval_shape(self.init)

    def restore(self) -> tuple[int, State] | None:
        """(step, state) of the newest sound checkpoint here, or None."""
        if not checkpoints.steps(self.workdir.checkpoints):
            return None
        return checkpoints.restore_newest(
            self.workdir.checkpoints, self.abstract_state(), move_damaged=True
        )

    # Training.

    def train(self, state: State, first: int) -> Stopped:
        """Trains from step `first` to the end, or until a signal; the last state is saved.

        Raises:
          ConfigError: see `check_trainable`.
          NotFiniteError: a metric or the state is not finite; the broken state is not saved.
          lib.checkpoints.WriteError: a checkpoint could not be written.
        """
        self.check_trainable()
        state = self.place(state)  # or the second call would compile again
        outputs = Outputs(self.workdir, self.config, first)
        done, pending, stop = first, [], None
        clock = _StepClock()
        try:
            with stop_requests() as asked:
                for step, k, feeds in self._dispatches(first):
                    state, metrics = self._train(state, self._constants, feeds, self._key, np.uint32(step))
                    if self._on_cpu:  # queued collectives of several CPU devices deadlock
                        jax.block_until_ready(metrics)
                    pending.append((step, metrics))
                    done = step + k
                    outputs.progress.advance(k)
                    stop = asked()
                    if not (self._must_act(done) or stop):
                        continue
                    metrics = {"epoch": done * self._epochs_per_step} | self._fetch(pending)
                    self._act(outputs, done, state, metrics | clock.rate(done), bool(stop))
                    pending = []
                    clock.restart(done)
                    if stop:
                        outputs.progress.print(f"stopping at step {done:,}: saving")
                        break
                outputs.finish()
        except NotFiniteError as error:
            saved = outputs.saved
            kept = f"the checkpoint of step {saved} is kept" if saved else "nothing was saved"
            raise NotFiniteError(f"{error}; {kept}") from error
        finally:
            outputs.close()
        return Stopped(done, stop)

    def _act(
        self, outputs: Outputs, done: int, state: State, metrics: Mapping[str, float], stopping: bool
    ) -> None:
        """Logs, evaluates, saves and draws what is due after `done` steps."""
        means = None
        outputs.progress.show({n: metrics[n] for n in self.experiment.main_metrics})
        if self._due(self.config.log_every, done):
            outputs.log("train", done, metrics)
        if self._due(self.config.eval_every, done):
            means = self._means(state)
            outputs.log("eval", done, self._checked(done, self._metrics(state, means)))
        if self._due(self.config.checkpoint_every, done) or stopping:
            whole = self.whole(state)
            self._check_finite(whole, done)
            outputs.save(done, whole)
        if self._due(self.config.figures_every, done) or done == self.config.num_steps:
            self.draw(self.whole(state), done, means)

    def _due(self, every: int, done: int) -> bool:
        return bool(every) and (done % every == 0 or done == self.config.num_steps)

    def _must_act(self, done: int) -> bool:
        return done == self.config.num_steps or any(done % every == 0 for every in self._intervals())

    def _dispatches(self, first: int) -> Iterator[tuple[int, int, Any]]:
        """(first step, number of steps k, feeds [d, k, ..]) of every call of the device.

        Calls of K steps begin at multiples of K, so that a resumed run makes the same calls; K divides
        all intervals. Steps before the first multiple and after the last are taken singly.
        """
        last = self.config.num_steps
        feeds = self._batches.feeds(first, last)
        step = first
        while step < last:
            whole = step % self._per_dispatch == 0 and step + self._per_dispatch <= last
            k = self._per_dispatch if whole else 1
            parts = [next(feeds) for _ in range(k)]
            yield step, k, jax.tree.map(lambda *x: np.stack(x, 1), *parts)
            step += k

    def _fetch(self, pending: list[tuple[int, Mapping[str, jax.Array]]]) -> dict[str, float]:
        """The last metrics of a list of calls, after a check of all of them."""
        values = {}
        for first, metrics in pending:
            metrics = jax.device_get(metrics)
            k = len(next(iter(metrics.values())))
            steps = [(first + i, {n: v[i] for n, v in metrics.items()}) for i in range(k)]
            if bad := first_not_finite(steps):
                raise NotFiniteError(f"step {bad[0] + 1}: not finite: {', '.join(bad[1])}")
            values = {name: float(value) for name, value in steps[-1][1].items()}
        return values

    def _checked(self, step: int, metrics: Mapping[str, float]) -> Mapping[str, float]:
        if bad := first_not_finite([(step, metrics)]):
            raise NotFiniteError(f"step {step}: not finite on held-out data: {', '.join(bad[1])}")
        return metrics

    def _check_finite(self, state: State, step: int) -> None:
        """Parameters must be finite; the rest may hold infinities (line searches do) but no NaN."""
        params = getattr(state, "params", state)
        for tree, sound in ((params, np.isfinite), (state, lambda x: ~np.isnan(x))):
            leaves, _ = jax.tree_util.tree_flatten_with_path(jax.device_get(tree))
            for path, leaf in leaves:
                if not sound(leaf).all():
                    raise NotFiniteError(f"step {step}: not finite: state{jax.tree_util.keystr(path)}")

    # Evaluation and pictures.

    def evaluate(self, state: State) -> dict[str, float]:
        """The experiment's own metrics of a placed state, over the whole held-out split."""
        return self._metrics(state, self._means(state))

    def _metrics(self, state: State, means: dict[str, Any]) -> dict[str, float]:
        """What `evaluate` gives, from the means over the split."""
        metrics = {**self.experiment.eval_summary(means), **self._eval_state(self.whole(state))}
        return {name: float(value) for name, value in metrics.items()}

    def _means(self, state: State) -> dict[str, Any]:
        """What `eval_step` sums, divided by what it counts."""
        sums: dict[str, np.ndarray] = {}
        counts: dict[str, float] = {}
        n, local = len(self.devices), self._local
        b = -(-self.config.batch_size // n)  # examples on each device
        batches = eval_batches(self.data[1], n * b, slice(local.start * b, local.stop * b))
        for i, batch in enumerate(batches):
            batch = jax.tree.map(lambda x: x.reshape(-1, b, *x.shape[1:]), batch)
            totals = jax.device_get(self._eval(state, batch, jax.random.fold_in(self._key, i)))
            for name, (total, count) in totals.items():
                sums[name] = sums.get(name, 0) + np.asarray(total, np.float64)
                counts[name] = counts.get(name, 0) + float(count)
        return {name: sums[name] / counts[name] for name in sums}

    def draw(self, state: State, step: int, means: dict[str, Any] | None = None) -> None:
        """Writes the experiment's pictures and arrays of a whole state, and the curves of the metrics so far.

        `means`, over the held-out split, are made again where they are not given and arrays need them.
        """
        if arrays := self.experiment.heads.get("arrays"):
            found = arrays(state, self._means(self.place(state)) if means is None else means)
            if self.workdir.ours:
                for name, array in jax.device_get(found).items():
                    _save(array, self.workdir.path / f"{name}.npy")
        if not self.workdir.ours:
            return
        if draw := self.experiment.heads.get("figures"):
            pictures = jax.device_get(jax.jit(draw)(state, jax.random.key(_FIGURES_SEED)))
            for name, content in pictures.items():
                figures.draw(content, self.workdir.figures, name, step)
        if pictures := self.experiment.heads.get("pictures"):
            for name, figure in pictures(state).items():
                figures.save(figure, self.workdir.figures / f"{name}.png")
        records = read_json_lines(self.workdir.metrics / "train.jsonl")
        held_out = read_json_lines(self.workdir.metrics / "eval.jsonl")
        held_out = [r for r in held_out if r.get("by") != "eval"]
        names = dict.fromkeys(name for r in records[-1:] for name in r)
        panels = {"loss": [n for n in names if n.endswith("loss")]}
        panels |= figures.by_prefix(n for n in self.experiment.main_metrics if not n.endswith("loss"))
        varies = lambda name: len({r.get(name) for r in records}) > 1
        panels["learning rate"] = [n for n in names if n.endswith("learning_rate") and varies(n)]
        figures.curves(records, panels, self.workdir.figures / "train.png")
        scores = figures.by_prefix(n for r in held_out[-1:] for n in r if n != "step")
        figures.curves(held_out, scores, self.workdir.figures / "eval.png")


class _StepClock:
    """Steps per second of the steps alone, without compilation, evaluation, pictures and saving."""

    def __init__(self):
        self._time, self._step = None, 0

    def rate(self, step: int) -> dict[str, float]:
        """{"steps_per_second": since `restart`}; nothing for the first interval, which compiles."""
        if self._time is None:
            return {}
        return {"steps_per_second": (step - self._step) / (time.monotonic() - self._time)}

    def restart(self, step: int) -> None:
        self._time, self._step = time.monotonic(), step


def _flat(leaf: jax.Array | np.ndarray) -> np.ndarray:
    """[n, k / n, ...] as [k, ...]."""
    return np.asarray(leaf).reshape(-1, *leaf.shape[2:])


def _save(array: np.ndarray, path: Path) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)


def _largest_divisor(numbers: list[int], limit: int) -> int:
    """The largest number up to `limit` that divides all of `numbers`."""
    common = math.gcd(*numbers)
    return max(k for k in range(1, limit + 1) if common % k == 0)
