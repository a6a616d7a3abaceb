"""The command line of a program: its own flags, and overrides of config fields."""

from collections.abc import Callable

from absl import flags

from lib.config import ConfigError, split_overrides


def parse(
    argv: list[str], define: Callable[[flags.FlagValues], None], usage: str
) -> tuple[flags.FlagValues, list[str]]:
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
