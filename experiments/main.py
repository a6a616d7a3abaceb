"""Trains the experiment of a config: `./run.sh train`. The same command continues a stopped run."""

import contextlib
import re
import sys
import time

import numpy as np
from absl import flags

from experiments import registry
from experiments.runs import (
    ROOT,
    check_classifier,
    check_same_run,
    default_workdir,
    first_state,
    make_runner,
)
from lib import checkpoints, devices, processes
from lib.command_line import parse
from lib.config import ConfigError, apply_overrides, load_file, one_line_errors, save_json
from lib.experiment import State
from lib.runner import NotFiniteError, Runner
from lib.schema import Run
from lib.workdir import Workdir, find, find_run

_USAGE = """Trains the experiment of a config. The same command continues a stopped run.

  ./run.sh train [--config=FILE] [--workdir=DIR] [--config.FIELD=VALUE ...]

As one of several processes: under Slurm's srun, or started by hand on every machine:

  srun ./run.sh train --distributed ...
  ./run.sh train --distributed --coordinator=HOST:PORT --num_processes=N --process_id=I ...
"""
_ADDRESS = processes.Address._fields


def _define(values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "config", str(ROOT / "configs/gan/digits.py"), "The config file.", flag_values=values
    )
    flags.DEFINE_string(
        "workdir", None, "Where the run writes; default: runs/<config name>.", flag_values=values
    )
    flags.DEFINE_bool("distributed", False, "Train with other processes.", flag_values=values)
    flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0.", flag_values=values)
    flags.DEFINE_integer("num_processes", None, "How many there are.", flag_values=values)
    flags.DEFINE_integer("process_id", None, "Which one this is, from 0.", flag_values=values)


def train(raw_config, workdir: Workdir) -> int:
    """Trains, or continues, the run of a config in a work directory; returns the exit code.

    Raises:
      ConfigError: bad input of any kind, before anything compiles.
    """
    with contextlib.ExitStack() as held:
        with processes.together(ConfigError):
            config = registry.validated(raw_config)
            if workdir.ours:
                _check_restore_path(raw_config, config, workdir)
            check_classifier(config.eval.classifier)
            runner = make_runner(config, workdir)
            runner.check_trainable()
            workdir.create()
            held.enter_context(workdir.lock())
            step, state = _begin(runner, raw_config) if workdir.ours else (0, runner.abstract_state())
        at, state = processes.from_first((np.int64(step), state))
        step = int(at)
        try:
            return _run(runner, step, state)
        except Exception as error:
            workdir.set_status("failed", step, f"{type(error).__name__}: {error}".splitlines()[0])
            raise


def _check_restore_path(raw_config, config: Run, workdir: Workdir) -> None:
    started = bool(checkpoints.steps(workdir.checkpoints))
    if config.restore_path and not started:  # later, the run's own checkpoints count
        source, at = find(config.restore_path)
        check_same_run(raw_config, source, "config.restore_path")
        at = at or max(checkpoints.steps(source.checkpoints), default=0)
        if at >= config.num_steps:
            raise ConfigError(
                f"config.num_steps: must be larger than {at:,}, where restore_path is already"
            )
    elif config.restore_path and find_run(config.restore_path) == workdir.path:
        raise ConfigError(
            "config.restore_path: names a checkpoint of this very run; to go on from it, name another "
            "--workdir"
        )


def _begin(runner: Runner, raw_config) -> tuple[int, State]:
    """Opens the work directory for training; returns (step, state) to begin with."""
    workdir = runner.workdir
    if workdir.config.exists():
        check_same_run(raw_config, workdir, "--workdir")
    step, state = first_state(runner, runner.config.restore_path)
    save_json(raw_config, workdir.config)
    workdir.set_status("training", step)
    return step, state


def _run(runner: Runner, step: int, state: State) -> int:
    """Trains from a state, and says how it ended; returns the exit code."""
    workdir, num_steps = runner.workdir, runner.config.num_steps
    if step >= num_steps:
        print(f"already trained to step {step:,}; raise config.num_steps to go on")
        runner.draw(state, step)  # the last run may have been killed before it could
        workdir.set_status("finished", step)
        report(workdir)
        return 0
    print(f"{f'continuing at step {step:,}' if step else 'training'} in {workdir.path}")
    begun = time.monotonic()
    try:
        stopped = runner.train(state, step)
    except NotFiniteError as error:
        return _failed(workdir, str(error))
    except checkpoints.WriteError as error:
        kept = checkpoints.steps(workdir.checkpoints)
        last = f"step {kept[-1]:,} is kept" if kept else "there is none yet"
        return _failed(workdir, f"cannot write a checkpoint: {error}; {last}")
    workdir.set_status("stopped" if stopped.signal else "finished", stopped.step)
    if stopped.signal:
        print(f"stopped and saved at step {stopped.step:,}; the same command continues")
        return 128 + stopped.signal
    print(f"trained {stopped.step - step:,} steps in {time.monotonic() - begun:.0f} s")
    report(workdir)
    return 0


def _failed(workdir: Workdir, error: str) -> int:
    print(f"error: {error}", file=sys.stderr)
    with contextlib.suppress(OSError):  # the disk may be full
        workdir.set_status("failed", max(checkpoints.steps(workdir.checkpoints), default=0), error)
    return 1


def report(workdir: Workdir) -> None:
    """Says where the results of a finished run are, and how to evaluate it."""
    newest = checkpoints.steps(workdir.checkpoints)[-1]
    pictures = sorted(workdir.figures.glob("*.png"), key=lambda p: p.stat().st_mtime)
    print(f"checkpoint  {workdir.checkpoints / str(newest)}")
    print(f"metrics     {workdir.metrics}/train.jsonl, eval.jsonl; tensorboard --logdir {workdir.path}")
    print(f"pictures    {workdir.figures}/: {', '.join(p.name for p in pictures[-4:])}")
    if arrays := sorted(workdir.path.glob("*.npy")):
        print(f"results     {workdir.path}/: {', '.join(p.name for p in arrays)}")
    print(f"evaluate    ./run.sh eval --config.restore_path={workdir.path}")


def _address(values: flags.FlagValues) -> processes.Address | None:
    """Where the processes of a distributed run meet; None for a run of one process.

    Raises:
      ConfigError: the flags contradict one another.
    """
    address = processes.Address(*(values[name].value for name in _ADDRESS))
    given = [f"--{name}" for name, value in zip(_ADDRESS, address, strict=True) if value is not None]
    missing = [f"--{name}" for name in _ADDRESS if f"--{name}" not in given]
    if given and not values.distributed:
        raise ConfigError(f"{given[0]}: needs --distributed")
    if given and missing:
        raise ConfigError(f"{given[0]}: needs {' and '.join(missing)} too, or none of them under Slurm")
    if not given:
        return address if values.distributed else None
    if not re.fullmatch(r".+:\d+", address.coordinator):
        raise ConfigError(f"--coordinator: '{address.coordinator}' is not of the form HOST:PORT")
    if address.num_processes < 1:
        raise ConfigError(f"--num_processes: must be at least 1, not {address.num_processes}")
    if not 0 <= address.process_id < address.num_processes:
        raise ConfigError(
            f"--process_id: {address.process_id} is not in 0 .. {address.num_processes - 1}, as of "
            f"--num_processes={address.num_processes}"
        )
    return address


def read_command_line(argv: list[str]):
    """(config with overrides, path of the work directory, address of a distributed run or None).

    Raises:
      ConfigError: unknown or contradictory flags, unknown fields, or a bad config file.
    """
    values, overrides = parse(argv, _define, _USAGE)
    config = apply_overrides(load_file(values.config), overrides)
    return config, values.workdir or default_workdir(values.config), _address(values)


def main(argv: list[str]) -> int:
    with one_line_errors():
        config, path, address = read_command_line(argv)
        devices.use_compilation_cache()
        if address is None:
            return train(config, Workdir(path))
        with processes.joined(address):
            processes.check_same(
                config.to_json(), "--config: the processes were started with different ones"
            )
            return train(config, Workdir(path, ours=processes.is_first()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
