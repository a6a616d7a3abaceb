"""Trains the experiment of a config: `./run.sh train`. The same command continues a stopped run."""

import signal
import sys
import time
from pathlib import Path

from absl import flags

from experiments import registry
from lib import checkpoints, devices
from lib.config import (
    ConfigError,
    apply_overrides,
    differences,
    load_file,
    load_json,
    one_line_errors,
    save_json,
    split_overrides,
)
from lib.data import DataSpec, load
from lib.runner import NotFiniteError, Runner
from lib.schema import MAY_DIFFER, Run
from lib.workdir import Workdir, find

ROOT = Path(__file__).resolve().parent.parent
_USAGE = """Trains the experiment of a config. The same command continues a stopped run.

  ./run.sh train [--config=FILE] [--workdir=DIR] [--config.FIELD=VALUE ...]
"""


def parse_flags(argv: list[str], define, usage: str):
    """(flags, overrides) of a program's command line.

    Args:
      argv: without the program's name.
      define: `(FlagValues) -> None` defines the program's own flags.
      usage: what --help prints above them.

    Raises:
      ConfigError: an unknown flag or a stray word.
    """
    overrides, others = split_overrides(argv)
    values = flags.FlagValues()
    flags.DEFINE_bool("help", False, "Print this help.", flag_values=values, short_name="h")
    define(values)
    try:
        rest = values(["", *others])[1:]
    except flags.Error as error:
        raise ConfigError(" ".join(str(error).split())) from error
    if values.help:
        print(usage)
        print(values.main_module_help() or values.get_help())
        raise SystemExit(0)
    if rest:
        raise ConfigError(f"unexpected argument '{rest[0]}'; options look like --config.seed=1")
    return values, overrides


def _define(values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "config", str(ROOT / "configs/gan/digits.py"), "The config file.", flag_values=values
    )
    flags.DEFINE_string(
        "workdir", None, "Where the run writes; default: runs/<config name>.", flag_values=values
    )


def default_workdir(config_file: str) -> Path:
    """runs/<config name>: the name is the file's path below configs/, without the ending."""
    path = Path(config_file).resolve().with_suffix("")
    configs = ROOT / "configs"
    return Path("runs") / (path.relative_to(configs) if path.is_relative_to(configs) else path.name)


def make_runner(config: Run, workdir: Workdir) -> Runner:
    """The runner of a validated config; loads its data.

    Raises:
      ConfigError: anything of the config that does not fit the data or the devices.
    """
    data = config.dataset
    train, held_out = (load(data.name, s, data.data_dir) for s in (data.train_split, data.eval_split))
    experiment = registry.build(config, DataSpec.of(train))
    return Runner(experiment, config, train, held_out, workdir)


def check_same_run(config, workdir: Workdir, flag: str) -> None:
    """Raises a ConfigError that names the fields in which a run's own config contradicts this one."""
    found = differences(config, load_json(workdir.config), MAY_DIFFER)
    if found:
        raise ConfigError(f"{flag}: the run in '{workdir.path}' has another config: {'; '.join(found)}")


def first_state(runner: Runner, restore_path: str):
    """(step, state): of the newest checkpoint in the work directory, else of restore_path, else new."""
    step, state = runner.restore()
    if step or not restore_path:
        return step, state
    source, at = find(restore_path)
    target = runner.abstract_state()
    if at is None:
        found = checkpoints.restore_newest(source.checkpoints, target)
        if found is None:
            raise ConfigError(f"config.restore_path: no checkpoint in '{restore_path}'")
        return found
    try:
        return at, checkpoints.restore(source.checkpoints, at, target)
    except checkpoints.DamagedError as error:
        raise ConfigError(f"config.restore_path: '{restore_path}' is damaged: {error}") from error


def train(raw_config, workdir: Workdir) -> int:
    """Trains, or continues, the run of a config in a work directory; returns the exit code.

    Raises:
      ConfigError: bad input of any kind, before anything compiles.
    """
    config = registry.validated(raw_config)
    if config.restore_path:
        source, _ = find(config.restore_path)
        check_same_run(raw_config, source, "config.restore_path")
    runner = make_runner(config, workdir)
    workdir.create()
    with workdir.lock():
        if workdir.config.exists():
            check_same_run(raw_config, workdir, "--workdir")
        step, state = first_state(runner, config.restore_path)
        save_json(raw_config, workdir.config)
        if step >= config.num_steps:
            print(f"already trained to step {step:,}; raise config.num_steps to go on")
        else:
            print(f"{'continuing at step ' + f'{step:,}' if step else 'training'} in {workdir.path}")
        begun = time.monotonic()
        try:
            stopped = runner.train(state, step) if step < config.num_steps else None
        except NotFiniteError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    if stopped and stopped.signal:
        print(f"stopped and saved at step {stopped.step:,}; the same command continues")
        return 128 + signal.Signals(stopped.signal).value
    if stopped:
        print(f"trained {stopped.step - step:,} steps in {time.monotonic() - begun:.0f} s")
    report(workdir)
    return 0


def report(workdir: Workdir) -> None:
    """Says where the results of a finished run are, and how to evaluate it."""
    newest = checkpoints.steps(workdir.checkpoints)[-1]
    pictures = sorted(workdir.figures.glob("*.png"), key=lambda p: p.stat().st_mtime)
    print(f"checkpoint  {workdir.checkpoints / str(newest)}")
    print(f"metrics     {workdir.metrics}/train.jsonl, eval.jsonl; tensorboard --logdir {workdir.path}")
    print(f"pictures    {workdir.figures}/: {', '.join(p.name for p in pictures[-4:])}")
    print(f"evaluate    ./run.sh eval --config.restore_path={workdir.path}")


def main(argv: list[str]) -> int:
    with one_line_errors():
        values, overrides = parse_flags(argv, _define, _USAGE)
        config = apply_overrides(load_file(values.config), overrides)
        devices.use_compilation_cache()
        return train(config, Workdir(values.workdir or default_workdir(values.config)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
