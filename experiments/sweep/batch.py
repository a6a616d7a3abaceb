"""Trains runs in one process, which compiles once for each group: a sweep starts it, nobody by hand.

    python -m experiments.sweep.batch [--lanes=N] < runs.json

runs.json lists {"folder": of the run, "arguments": of `./run.sh train`}. What a run prints goes to its
log.txt, as if it had a process of its own; here a line says how each ended.
"""

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
from lib.runtime.trainer import Stopped


class Command(NamedTuple):
    """A run: its folder, and the arguments of `./run.sh train`."""

    folder: str
    arguments: list[str]


class Member(Training):
    """A run of the batch, which prints to its own log."""

    def __init__(self, command: Command, make_programs: SharedPrograms):
        """Opens the run, see `Training`."""
        self._log, self._has_ended = _open_log(command), False
        try:
            with self.working():
                config, path, *_ = read_command_line(command.arguments)
                super().__init__(config, RunFolder(path), make_programs)
                self.say_begin()
        except BaseException:
            self._log.close()
            raise

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Sends to the run's log what is printed in the block."""
        with contextlib.redirect_stdout(self._log), contextlib.redirect_stderr(self._log):
            try:
                yield
            finally:
                self._log.flush()

    def end(self, stopped: Stopped) -> int:
        """Writes down that the run is finished, or was stopped."""
        self._has_ended = True
        return super().end(stopped)

    def fail(self, error: Exception) -> int:
        """Writes down why the run failed, with a traceback where the program is at fault."""
        self._has_ended = True
        if explained(error) is None and not isinstance(error, NotFiniteError | WriteError):
            traceback.print_exception(error)
        return super().fail(error)

    def close(self) -> None:
        """Lets go of the folder and the log; a second call does nothing."""
        super().close()
        if not self._log.closed:
            self._log.close()
            if self._has_ended:
                _say(self.folder)


def train(commands: list[Command], lanes: int) -> int:
    """Trains the runs, those of one structure after those of another.

    Args:
      lanes: how many runs of a group side by side; 0: as many as are fastest.

    Returns:
      The exit code: 0, 1 where a run failed, or that of a signal.
    """
    data = LatestData()
    with stop_requests() as asked:
        for _, group in itertools.groupby(commands, _structure):
            _train_group(list(group), data, lanes, asked)
        if stop := asked():
            return 128 + stop
    return int(any(RunFolder(c.folder).status().get("status") != "finished" for c in commands))


def _structure(command: Command) -> dict[str, str] | None:
    """Returns the structure of a run's config; None where it has no sound one, as its own log will say."""
    with contextlib.suppress(ConfigError):
        return structure.structure(registry.validated(read_command_line(command.arguments)[0]))
    return None


def _train_group(
    commands: list[Command], data: LatestData, lanes: int, asked: Callable[[], int | None]
) -> None:
    """Trains the runs of a group, until a signal."""
    on_devices = jax.local_devices()
    queue = _members(commands, SharedPrograms(data, on_devices[:1]), asked)
    if (first := next(queue, None)) is None:
        return
    left = len(commands) - [c.folder for c in commands].index(str(first.folder.path))
    n = lane_counts.choose(lanes, first.trainer, first.state, left, on_devices)
    if n > 1:
        _side_by_side(first, queue, n, on_devices, asked)
    elif len(on_devices) == 1:
        _one_after_another(itertools.chain([first], queue), asked)
    else:
        first.close()
        _one_after_another(_members(commands[-left:], SharedPrograms(data), asked), asked)


def _members(
    commands: list[Command], shared: SharedPrograms, asked: Callable[[], int | None]
) -> Iterator[Member]:
    """Opens one run after another, until a signal; passes over those that cannot be opened or are done."""
    for command in commands:
        if asked():
            return
        try:
            member = Member(command, shared)
        except Exception as error:
            _write_down(command, error)
            continue
        if member.is_finished:
            member.close()
        else:
            yield member


def _one_after_another(members: Iterator[Member], asked: Callable[[], int | None]) -> None:
    """Trains the members in turn."""
    for member in members:
        with contextlib.closing(member), member.working():
            try:
                member.end(member.trainer.train(member.state, member.step, asked))
            except Exception as error:
                member.fail(error)


def _side_by_side(
    first: Member,
    others: Iterator[Member],
    n: int,
    on_devices: list[jax.Device],
    asked: Callable[[], int | None],
) -> None:
    """Trains the members in n lanes."""
    trainer = first.trainer
    per_call = trainer.steps_per_call(trainer.programs.place(first.state), first.step)
    lanes = Lanes(trainer.programs, trainer.batches, n, on_devices)
    print(f"{n} lanes, {per_call} steps per call", flush=True)
    train_side_by_side(lanes, itertools.chain([first], others), per_call, asked)


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
        if not folder.is_training():
            folder.set_status("failed", folder.newest_step(), text)
    _say(folder)


def _say(folder: RunFolder) -> None:
    status = folder.status()
    error = f": {status['error']}" if status.get("error") else ""
    print(f"{status.get('status', 'new'):9} {folder.path.name}{error}", flush=True)


def main(argv: list[str]) -> int:
    def define(values: flags.FlagValues) -> None:
        text = "How many runs side by side; 0: as many as are fastest."
        flags.DEFINE_integer("lanes", 0, text, lower_bound=0, flag_values=values)

    with one_line_errors():
        values, _ = parse(argv, define, __doc__)
        cache.use_compilation_cache()
        return train([Command(**run) for run in json.load(sys.stdin)], values.lanes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
