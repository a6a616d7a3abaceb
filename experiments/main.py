"""Trains the experiment of a config: `./run.sh train`. The same command continues a stopped run."""

import signal
import sys
import time

from absl import flags

from experiments import registry
from experiments.runs import ROOT, check_same_run, default_workdir, first_state, make_runner
from lib import checkpoints, devices
from lib.command_line import parse
from lib.config import apply_overrides, load_file, one_line_errors, save_json
from lib.runner import NotFiniteError
from lib.workdir import Workdir, find

_USAGE = """Trains the experiment of a config. The same command continues a stopped run.

  ./run.sh train [--config=FILE] [--workdir=DIR] [--config.FIELD=VALUE ...]
"""


def _define(values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "config", str(ROOT / "configs/gan/digits.py"), "The config file.", flag_values=values
    )
    flags.DEFINE_string(
        "workdir", None, "Where the run writes; default: runs/<config name>.", flag_values=values
    )


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
        values, overrides = parse(argv, _define, _USAGE)
        config = apply_overrides(load_file(values.config), overrides)
        devices.use_compilation_cache()
        return train(config, Workdir(values.workdir or default_workdir(values.config)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
