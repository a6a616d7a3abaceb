"""The command line of `./run.sh train`: what is to be trained, where, and with which other processes."""

import re
from collections.abc import Sequence

from absl import flags
from ml_collections import ConfigDict

from experiments import catalogue
from lib.command_line import parse
from lib.config import apply_overrides, load_file
from lib.errors import ConfigError
from lib.runtime import processes

_USAGE = """Trains the experiment of a config. The same command continues a stopped run.

  ./run.sh train [--config=FILE] [--workdir=DIR] [--config.FIELD=VALUE ...]

As one of several processes: under Slurm's srun, or started by hand on every machine:

  srun ./run.sh train --distributed ...
  ./run.sh train --distributed --coordinator=HOST:PORT --num_processes=N --process_id=I ...
"""
_ADDRESS = processes.Address._fields
_MOST_PROCESSES = 10_000


def _define(values: flags.FlagValues) -> None:
    flags.DEFINE_string("config", str(catalogue.DEFAULT), "The config file.", flag_values=values)
    flags.DEFINE_string(
        "workdir", None, "Where the run writes; default: runs/<config name>.", flag_values=values
    )
    text = "Write a profile of so many steps into DIR/profile, for TensorBoard; 0: none."
    flags.DEFINE_integer("profile", 0, text, 0, 10_000, flag_values=values)
    flags.DEFINE_bool("distributed", False, "Train with other processes.", flag_values=values)
    flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0.", flag_values=values)
    flags.DEFINE_integer("num_processes", None, "How many there are.", flag_values=values)
    flags.DEFINE_integer("process_id", None, "Which one this is, from 0.", flag_values=values)
    text = "Seconds that the processes wait for one another at the start."
    flags.DEFINE_integer("start_timeout", 50, text, 1, 10**6, flag_values=values)


def _address(values: flags.FlagValues) -> processes.Address | None:
    """Returns where the processes of a distributed run meet; None for a run of one process.

    Raises:
      ConfigError: the flags contradict one another.
    """
    address = processes.Address(*(values[name].value for name in _ADDRESS))
    given = [f"--{name}" for name, value in zip(_ADDRESS, address, strict=True) if value is not None]
    missing = [f"--{name}" for name in _ADDRESS if f"--{name}" not in given]
    needy = [*given, *(["--start_timeout"] if values["start_timeout"].present else [])]
    if needy and not values.distributed:
        raise ConfigError("needs --distributed", needy[0])
    if given and missing:
        raise ConfigError(f"needs {' and '.join(missing)} too, or none of them under Slurm", given[0])
    if not given:
        return address if values.distributed else None
    if not re.fullmatch(r".+:[0-9]+", address.coordinator):
        raise ConfigError(f"'{address.coordinator}' is not of the form HOST:PORT", "--coordinator")
    if not 1 <= address.num_processes <= _MOST_PROCESSES:
        text = f"must be 1 to {_MOST_PROCESSES:,}, not {address.num_processes:,}"
        raise ConfigError(text, "--num_processes")
    if not 0 <= address.process_id < address.num_processes:
        raise ConfigError(
            f"{address.process_id} is not in 0 .. {address.num_processes - 1}, as of "
            f"--num_processes={address.num_processes}",
            "--process_id",
        )
    return address


def check_length(config: ConfigDict, overrides: Sequence[str]) -> None:
    """Checks that no number of steps is asked for that would be ignored for a number of epochs.

    Args:
      config: with the overrides applied.
      overrides: `--config.FIELD=VALUE`.

    Raises:
      ConfigError: num_steps is among them, and the config sets num_epochs.
    """
    if config.get("num_epochs") and any(text.startswith("--config.num_steps=") for text in overrides):
        raise ConfigError(
            f"num_epochs is {config.num_epochs:g} and sets it; leave one of them out, or make that 0",
            "config.num_steps",
        )


def read_command_line(argv: list[str]):
    """Reads what is to be trained, where, and with which other processes.

    Returns:
      (config with overrides, path of the work directory, address of a distributed run or None, how many
      seconds its processes wait for one another at the start, of how many steps a profile is written).

    Raises:
      ConfigError: unknown or contradictory flags, unknown fields, or a bad config file.
    """
    values, overrides = parse(argv, _define, _USAGE)
    config = apply_overrides(load_file(values.config), overrides)
    check_length(config, overrides)
    path = values.workdir or catalogue.default_folder(values.config)
    return config, path, _address(values), values.start_timeout, values.profile
