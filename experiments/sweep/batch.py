"""Trains runs in one process, which compiles once for each group: a sweep starts it, nobody by hand.

    python -m experiments.sweep.batch [--lanes=N] < runs.json

runs.json lists {"folder": of the run, "arguments": of `./run.sh train`}. What a run prints goes to its
log.txt, as if it had a process of its own; here a line says how each ended.
"""

import collections
import contextlib
import itertools
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

import jax
from absl import flags

from experiments import registry
from experiments.arguments import read_command_line
from experiments.sweep import lane_counts, structure
from experiments.sweep.job import LOG
from experiments.sweep.shared import LatestData, SharedPrograms
from experiments.training import Training
from lib.command_line import parse
from lib.errors import ConfigError, explained, one_line, one_line_errors
from lib.runtime import cache
from lib.runtime.checkpoints import WriteError
from lib.runtime.files import open_file
from lib.runtime.interval_means import NotFiniteError
from lib.runtime.lanes import Lanes
from lib.runtime.run_folder import RunFolder
from lib.runtime.side_by_side import train_side_by_side
from lib.runtime.signals import stop_requests
from lib.runtime.trainer import Stopped, Trainer


class Command(NamedTuple):
    """A run: its folder, and the arguments of `./run.sh train`."""

    folder: str
    arguments: list[str]


class Member(Training):
    """A run of the batch, which prints to its own log."""

    def __init__(self, command: Command, make_programs: SharedPrograms, done: set[str]):
        """Opens the run, see `Training`; its folder is added to `done` when it ends."""
        self._command, self._done = command, done
        self._log, self._has_ended, self._held = _open_log(command), False, contextlib.ExitStack()
        try:
            with self.working():
                config, path, *_ = read_command_line(command.arguments)
                super().__init__(config, RunFolder(path), make_programs)
                self.say_begin()
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Sends to the run's log what is printed in the block."""
        with contextlib.redirect_stdout(self._log), contextlib.redirect_stderr(self._log):
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # the disk may be full
                    self._log.flush()

    def end(self, stopped: Stopped) -> int:
        """Writes down that the run is finished, or was stopped."""
        self._has_ended = True
        self._done.add(self._command.folder)
        return super().end(stopped)

    def fail(self, error: Exception) -> int:
        """Writes down why the run failed, with a traceback where the program is at fault."""
        self._has_ended = True
        self._done.add(self._command.folder)
        if explained(error) is None and not isinstance(error, NotFiniteError | WriteError):
            traceback.print_exception(error)
        return super().fail(error)

    def close(self) -> None:
        """Lets go of the folder and the log; a second call does nothing."""
        super().close()
        if not self._log.closed:
            with contextlib.suppress(OSError):
                self._log.close()
            if self._has_ended:
                _say(self.folder)


def train(commands: list[Command], lanes: int) -> int:
    """Trains the runs, those of one structure after those of another.

    Args:
      lanes: how many runs of a group side by side; 0: as many as are fastest.

    Returns:
      The exit code: 0, also where runs failed, as their statuses say; or that of a signal.
    """
    data = LatestData()
    with stop_requests() as asked:
        for _, group in itertools.groupby(commands, _structure):
            _train_group(list(group), data, lanes, asked)
        stop = asked()
    return 128 + stop if stop else 0


def _structure(command: Command) -> dict[str, str] | None:
    """Returns the structure of a run's config; None where it has no sound one, as its own log will say."""
    with contextlib.suppress(ConfigError):
        return structure.structure(registry.validated(read_command_line(command.arguments)[0]))
    return None


def _train_group(
    commands: list[Command], data: LatestData, lanes: int, asked: Callable[[], int | None]
) -> None:
    """Trains the runs of a group, until a signal."""
    group, shared = _Group(commands, asked), SharedPrograms(data)
    if lanes != 1 and len(commands) > 1:
        try:
            _in_lanes(group, shared, data, lanes)
        except Exception:  # too little memory, for instance
            traceback.print_exc()
            print("no lanes, for this reason: the runs go on one after another", flush=True)
    _one_after_another(group.members(shared), asked)


class _Group:
    """The runs of a group, and which of them are done."""

    def __init__(self, commands: list[Command], asked: Callable[[], int | None]):
        self.commands, self.asked = commands, asked
        self._done: set[str] = set()

    def members(self, shared: SharedPrograms) -> Iterator[Member]:
        """Opens one run after another until a signal, but those that are done or cannot be opened."""
        for command in self.commands:
            if self.asked():
                return
            if command.folder in self._done:
                continue
            try:
                member = Member(command, shared, self._done)
            except Exception as error:
                self._done.add(command.folder)
                _write_down(command, error)
                continue
            if member.is_finished:
                self._done.add(command.folder)
                member.close()
            else:
                yield member

    @property
    def num_left(self) -> int:
        """Returns how many runs are not done."""
        return sum(command.folder not in self._done for command in self.commands)


def _in_lanes(group: _Group, shared: SharedPrograms, data: LatestData, lanes: int) -> None:
    """Trains the runs of a group side by side, if that is asked for or faster; else leaves them."""
    on_devices = jax.local_devices()
    one = shared if len(on_devices) == 1 else SharedPrograms(data, on_devices[:1])
    members = group.members(one)
    if (first := next(members, None)) is None:
        return
    with contextlib.closing(first):
        n = lanes and lane_counts.even(group.num_left, min(lanes, group.num_left), len(on_devices))
        n = n or _lanes_before(group.commands, len(on_devices))
        if not n:
            alone = Trainer(shared(first.trainer.programs.config), first.folder)
            n = lane_counts.best(first.trainer, alone, first.state, group.num_left, on_devices)
        if n == 1:
            if one is shared:
                _one_after_another(itertools.chain([first], members), group.asked)
            return
        trainer = first.trainer
        per_call = trainer.steps_per_call(trainer.programs.place(first.state), first.step)
        side_by_side = Lanes(trainer.programs, trainer.batches, n, on_devices)
        print(f"{n} lanes, {per_call} steps per call", flush=True)
        train_side_by_side(side_by_side, itertools.chain([first], members), per_call, group.asked)


def _lanes_before(commands: list[Command], num_devices: int) -> int:
    """Returns how many lanes most of the runs had; 0 where most have no checkpoint, or are finished."""
    counts = collections.Counter()
    for folder in (RunFolder(command.folder) for command in commands):
        goes_on = folder.newest_step() and folder.status().get("status") != "finished"
        counts[int(folder.machine().get("lanes", "1")) if goes_on else 0] += 1
    n = counts.most_common(1)[0][0]
    return n if n < 2 else lane_counts.even(n, n, num_devices)


def _one_after_another(members: Iterator[Member], asked: Callable[[], int | None]) -> None:
    """Trains the members in turn."""
    for member in members:
        with contextlib.closing(member), member.working():
            try:
                member.end(member.trainer.train(member.state, member.step, asked))
            except Exception as error:
                member.fail(error)


def _open_log(command: Command) -> TextIO:
    folder = Path(command.folder)
    folder.mkdir(parents=True, exist_ok=True)
    return open_file(folder / LOG, "a")


def _write_down(command: Command, error: Exception) -> None:
    """Records a run that could not be opened."""
    text, folder = explained(error) or one_line(error), RunFolder(command.folder)
    with contextlib.suppress(OSError):
        with _open_log(command) as log:
            print(f"error: {text}", file=log)
        if not folder.is_training() and folder.status().get("status") != "finished":
            folder.set_status("failed", folder.newest_step(), text)
    _say(folder)


def _say(folder: RunFolder) -> None:
    status = folder.status()
    error = f": {status['error']}" if status.get("error") else ""
    print(f"{status.get('status', 'new'):9} {folder.path.name}{error}", flush=True)


def main(argv: list[str]) -> int:
    def define(values: flags.FlagValues) -> None:
        text = "How many runs of a group side by side; 0: as many as are fastest."
        flags.DEFINE_integer("lanes", 0, text, lower_bound=0, flag_values=values)

    with one_line_errors():
        values, _ = parse(argv, define, __doc__)
        cache.use_compilation_cache()
        return train([Command(**run) for run in json.load(sys.stdin)], values.lanes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
