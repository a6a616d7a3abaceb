"""The training of one run, from the lock of its folder to its last status, and what it says of it."""

import contextlib
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from experiments import registry, warm_start
from lib.config import flatten
from lib.errors import ConfigError, explained, one_line
from lib.experiment import State
from lib.optimizers.registry import kind_of
from lib.runtime import checkpoints, processes
from lib.runtime.devices import described
from lib.runtime.interval_means import NotFiniteError
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder, check_same_run
from lib.runtime.threshold import StopAt
from lib.runtime.trainer import Stopped, Trainer, first_state
from lib.runtime.words import check_words, record_words
from lib.schema import Run

_OPTIMIZER = re.compile(r"\.optimizer(s\.\w+)?\.name$")


def _with_hint(error: NotFiniteError, config: Run) -> str:
    """Returns an error's text, and what to do where a learning rate that is made of the loss is NaN."""
    of_rates = error.names and all(name.endswith("_learning_rate") for name in error.names)
    fields = flatten(config.model_dump()).items()
    bounded = [
        f"config.{field.removesuffix('name')}kwargs.{kind_of(name).bound}"
        for field, name in fields
        if _OPTIMIZER.search(field) and kind_of(name).bound
    ]
    if not (of_rates and bounded):
        return str(error)
    return f"{error}; the loss fell below what its rate is measured from: set {' or '.join(bounded)} lower"


def _as_trained(raw_config: ConfigDict, config: Run) -> dict:
    """Returns a config as a run's folder keeps it: with its number of steps, and files named in full."""
    raw = {**raw_config.to_dict(), "num_steps": config.num_steps}
    if vectors := raw["dataset"]["kwargs"].get("vectors"):
        raw["dataset"]["kwargs"]["vectors"] = str(Path(vectors).expanduser().absolute())
    return raw


class Training:
    """A run that this process works on, alone or with the processes that it was started with.

    Attributes:
      trainer: of the run.
      step: where training begins.
      state: whole, of that step.
    """

    def __init__(
        self,
        raw_config: ConfigDict,
        folder: RunFolder,
        make_programs: Callable[[Run], Programs] = registry.programs,
    ):
        """Checks the run, takes its folder, and reads or makes the state to begin with.

        Raises:
          ConfigError: bad input of any kind, before anything compiles.
        """
        self._held = contextlib.ExitStack()
        try:
            with processes.together(ConfigError):
                config = registry.validated(raw_config)
                if folder.ours:
                    registry.check_inputs(raw_config, config, folder)
                self.trainer = Trainer(make_programs(config), folder)
                if folder.ours:
                    registry.check_steps(self.trainer.programs.config, folder)
                self.trainer.check()
                folder.create()
                self._held.enter_context(folder.lock())
                step, state = self._first(raw_config)
            start = np.int64(step), np.bool_(self._reached), state
            at, reached, self.state = processes.from_first(start)
        except BaseException:
            self._held.close()
            raise
        self.step, self._reached = int(at), bool(reached)
        self._begun = time.monotonic()

    @property
    def folder(self) -> RunFolder:
        """Returns the run's folder."""
        return self.trainer.folder

    @property
    def is_finished(self) -> bool:
        """Tells whether there is nothing left to train."""
        return self._reached or self.step >= self.trainer.programs.config.num_steps

    def run(self) -> int:
        """Trains to the end, or until a signal, and says how it ended; returns the exit code."""
        try:
            self.say_begin()
            if self.is_finished:
                return 0
            try:
                stopped = self.trainer.train(self.state, self.step)
            except (NotFiniteError, checkpoints.WriteError, OSError) as error:
                return self.fail(error)
            return self.end(stopped)
        except Exception as error:
            with contextlib.suppress(OSError):
                self.folder.set_status("failed", self.folder.newest_step(), one_line(error))
            raise

    def say_begin(self) -> None:
        """Says where training begins, or that nothing is left to train."""
        if not self.is_finished:
            how = f"continuing at step {self.step:,}" if self.step else "training"
            print(f"{how} in {self.folder.path}, on {described(self.trainer.programs.devices)}")
            return
        config = self.trainer.programs.config
        longer = "num_epochs" if config.num_epochs else "num_steps"
        how = "set another config.stop_at" if self._reached else f"raise config.{longer}"
        print(f"already trained to step {self.step:,}; {how} to go on")
        self.folder.set_status("finished", self.step, reached=config.stop_at if self._reached else "")
        report(self.folder)

    def end(self, stopped: Stopped) -> int:
        """Writes down that the run is finished, or was stopped; returns the exit code."""
        reached = self.trainer.programs.config.stop_at if stopped.has_reached else ""
        is_cut = stopped.signal and not reached
        self.folder.set_status("stopped" if is_cut else "finished", stopped.step, reached=reached)
        if is_cut:
            print(f"stopped and saved at step {stopped.step:,}; the same command continues")
            return 128 + stopped.signal
        at = f" and reached {reached}" if reached else ""
        print(f"trained {stopped.step - self.step:,} steps in {time.monotonic() - self._begun:.0f} s{at}")
        report(self.folder)
        return 0

    def fail(self, error: Exception) -> int:
        """Writes down why the run failed, and says it; returns the exit code."""
        text = explained(error) or one_line(error)
        if isinstance(error, NotFiniteError):
            text = _with_hint(error, self.trainer.programs.config)
        if isinstance(error, checkpoints.WriteError | OSError):
            kept = self.folder.newest_step()
            last = f"the checkpoint of step {kept:,} is kept" if kept else "there is no checkpoint yet"
            text = f"{explained(error) or error}; {last}; the same command goes on"
        print(f"error: {text}", file=sys.stderr)
        with contextlib.suppress(OSError):  # the disk may be full
            self.folder.set_status("failed", self.folder.newest_step(), text)
        return 1

    def close(self) -> None:
        """Lets go of the folder."""
        self._held.close()

    def _first(self, raw_config: ConfigDict) -> tuple[int, State]:
        """Opens the run's folder for training; returns (step, state) to begin with."""
        folder, programs, self._reached = self.folder, self.trainer.programs, False
        if not folder.ours:
            return 0, programs.abstract_state()
        if folder.config.exists():
            check_same_run(raw_config, registry.own_config(folder), folder, "--workdir")
            check_words(folder, programs.data.train.words_digest)
        if programs.config.restore_path and not folder.newest_step():
            step, state = warm_start.first_state(programs, raw_config)
        else:
            step, state = first_state(programs, folder)
        self._reached = StopAt(programs.config.stop_at).was_reached(folder.metrics, step)
        folder.clean_up(programs.config.keep_checkpoints)
        record_words(folder, programs.data.train.words_digest)
        folder.write_config(_as_trained(raw_config, programs.config))
        folder.set_status("training", step)
        return step, state


def report(folder: RunFolder) -> None:
    """Says where the results of a finished run are, and how to evaluate it."""
    pictures = sorted(filter(Path.is_file, folder.figures.glob("*.png")), key=lambda p: p.stat().st_mtime)
    print(f"checkpoint  {folder.checkpoints / str(folder.newest_step())}")
    print(f"metrics     {folder.metrics}/train.jsonl, eval.jsonl; tensorboard --logdir {folder.path}")
    print(f"pictures    {folder.figures}/: {', '.join(p.name for p in pictures[-4:])}")
    if arrays := sorted(folder.path.glob("*.npy")):
        print(f"results     {folder.path}/: {', '.join(p.name for p in arrays)}")
    print(f"evaluate    ./run.sh eval --config.restore_path={folder.path}")
