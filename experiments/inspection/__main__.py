"""Tells what a run would be, or what one is: `./run.sh inspect`. It writes nothing."""

import sys
from pathlib import Path

from absl import flags

from experiments import catalogue
from experiments.arguments import check_length
from lib.command_line import parse, words_and_flags
from lib.config import apply_overrides, load_file
from lib.errors import ConfigError, one_line_errors
from lib.runtime.run_folder import RunFolder, find_run

_USAGE = """Tells what a run would be before anything trains, or what is in a work directory.

  ./run.sh inspect [--config=FILE] [--config.FIELD=VALUE ...]   config, data, parameters, a step's cost
  ./run.sh inspect DIR                                          status, metrics, checkpoints
"""


def _define(values: flags.FlagValues) -> None:
    flags.DEFINE_string("config", str(catalogue.DEFAULT), "The config file.", flag_values=values)
    text = "How many steps are timed; 0: nothing is compiled."
    flags.DEFINE_integer("steps", 3, text, lower_bound=0, upper_bound=1000, flag_values=values)


def main(argv: list[str]) -> int:
    """Does what a command line says; returns the exit code, 1 where a checkpoint is damaged."""
    with one_line_errors():
        words, others = words_and_flags(argv)
        values, overrides = parse(others, _define, _USAGE)
        if len(words) > 1:
            raise ConfigError(f"'{words[1]}': name one work directory", "inspect")
        if words:
            path = Path(words[0])
            if not path.is_dir():
                raise ConfigError(f"no folder '{words[0]}'", "inspect")
            if given := [f"--{name}" for name in ("config", "steps") if values[name].present] or overrides:
                raise ConfigError("is of a run that is yet to be trained; leave it out", given[0])
            from experiments.inspection import work_directory

            text, is_sound = work_directory.describe(RunFolder(find_run(path)))
            print(text)
            return 0 if is_sound else 1
        from experiments.inspection import new_run

        config = apply_overrides(load_file(values.config), overrides)
        check_length(config, overrides)
        for part in new_run.describe(config, catalogue.default_folder(values.config), values.steps):
            print(part, flush=True)
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
