"""The command line of benchmarks that measure a config."""

from absl import flags

from experiments import catalogue, registry
from lib.command_line import parse
from lib.config import apply_overrides, load_file
from lib.errors import ConfigError
from lib.runtime import cache
from lib.runtime.programs import Programs
from lib.schema import Run


def read_config(argv: list[str], usage: str) -> Run:
    """Returns the config that a command line names, by default the first command's, with its overrides.

    Compiled programs are kept from now on.

    Args:
      usage: what --help prints above the flags.

    Raises:
      ConfigError: there is no such config, or it does not fit.
    """
    values, overrides = parse(argv, _define, usage)
    config = apply_overrides(load_file(values.config), overrides)
    cache.use_compilation_cache()
    return registry.validated(config)


def image_programs(config: Run) -> Programs:
    """Returns the programs of a config that makes images.

    Raises:
      ConfigError: its experiment makes none.
    """
    programs = registry.programs(config)
    if "samples" not in programs.experiment.outputs:
        raise ConfigError(f"'{config.experiment}' makes no images to score; use a GAN's", "--config")
    return programs


def _define(values: flags.FlagValues) -> None:
    """Defines the flag."""
    flags.DEFINE_string("config", str(catalogue.DEFAULT), "The config file.", flag_values=values)
