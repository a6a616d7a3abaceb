"""The command line of a program: its own flags, and overrides of config fields."""

import re
from collections.abc import Callable

from absl import flags

from lib.config import split_overrides
from lib.errors import ConfigError


def parse(
    argv: list[str], define: Callable[[flags.FlagValues], None], usage: str
) -> tuple[flags.FlagValues, list[str]]:
    """Parses a program's command line; prints its help and ends the program if --help is given.

    Args:
      argv: without the program's name.
      define: `(FlagValues) -> None` defines the program's own flags.
      usage: what --help prints above them.

    Returns:
      (flags, overrides of the config's fields).

    Raises:
      ConfigError: an unknown flag or a stray word.
    """
    overrides, others = split_overrides(argv)
    if any(re.match("--?undefok", other) for other in others):  # absl's own, which hides slips
        raise ConfigError("unknown flag '--undefok'")
    values = flags.FlagValues()
    flags.DEFINE_bool("help", False, "Print this help.", flag_values=values, short_name="h")
    define(values)
    for name in values:
        values[name].parser = _Strict(values[name].parser)
    try:
        rest = values(["", *others])[1:]
    except flags.Error as error:
        raise ConfigError(" ".join(str(error).split())) from error
    if values.help:
        _print_help(values, usage)
        raise SystemExit(0)
    if rest:
        raise ConfigError(f"unexpected argument '{rest[0]}'; options look like --NAME=VALUE")
    return values, overrides


def words_and_flags(argv: list[str]) -> tuple[list[str], list[str]]:
    """Returns (words, such as the name of a folder or paper, and the rest) of a command line."""
    return [a for a in argv if not a.startswith("-")], [a for a in argv if a.startswith("-")]


class _Strict(flags.ArgumentParser):
    """Reads a flag's text as another parser does, but for what is most likely a slip."""

    def __init__(self, parser: flags.ArgumentParser):
        self._parser = parser
        self.syntactic_help = parser.syntactic_help

    def parse(self, argument):
        if isinstance(argument, str):
            if argument.startswith("--"):
                raise ValueError(f"'{argument}' is no value but an option")
            if not argument:
                raise ValueError("is empty; leave it out, or give a value")
            if isinstance(self._parser, flags.IntegerParser | flags.FloatParser) and not argument.isascii():
                raise ValueError(f"'{argument}' is no number; use the digits 0 to 9")
        return self._parser.parse(argument)

    def flag_type(self):
        return self._parser.flag_type()


def _print_help(values: flags.FlagValues, usage: str) -> None:
    """Prints a program's usage and its flags."""
    print(usage)
    for name in values:
        if values[name].name == name:  # not the short form
            print(f"  --{name:10} {values[name].help}")
    print(
        "\nThe fields of a config and their defaults: configs/common.py and the base.py beside each config."
    )
