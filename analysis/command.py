"""What the commands of all pictures share: flags, folders of runs, and the file that a picture goes to."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from lib.command_line import parse
from lib.errors import ConfigError
from lib.pictures.figures import save_figure
from lib.runtime.files import asked_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FORMATS = (".png", ".pdf", ".svg")


class _FileParser(flags.ArgumentParser):
    """Reads the name of a file that is to be written, before any work for it is done."""

    def __init__(self, endings: tuple[str, ...]):
        self.syntactic_help = f"a file that ends in {', '.join(endings)}"
        self._endings = endings

    def parse(self, argument: str) -> str:
        """Returns the name.

        Raises:
          ValueError: it has another ending, or its place is a folder.
        """
        if Path(argument).suffix not in self._endings:
            raise ValueError(f"'{argument}' must end in {', '.join(self._endings)}")
        if Path(argument).is_dir():
            raise ValueError(f"'{argument}' is a folder; name a file in it")
        return argument


def define_out(values: flags.FlagValues, default: str | None, text: str = "The file.") -> None:
    """Defines the flag --out, the file that a picture goes to."""
    define_file(values, "out", default, text, *_FORMATS)


def define_file(values: flags.FlagValues, name: str, default: str | None, text: str, *endings: str) -> None:
    """Defines a flag of a file that is to be written, whose name has one of some endings."""
    flags.DEFINE(_FileParser(endings), name, default, text, values, flags.ArgumentSerializer())


def define_examples(values: flags.FlagValues) -> None:
    """Defines the flags --examples and --batches: what Hessians and Jacobians are of."""
    text = "Of a batch of the training split; default: as a step takes."
    flags.DEFINE_integer("examples", None, text, flag_values=values)
    text = "Whose mean loss is meant; networks see one at a time."
    flags.DEFINE_integer("batches", 1, text, lower_bound=1, flag_values=values)


def parse_flags(argv: list[str], define: Callable, usage: str, picture: str) -> flags.FlagValues:
    """Parses the flags of a picture that has no config.

    Args:
      argv: the flags alone.
      define: `(FlagValues) -> None` defines the picture's flags.
      usage: what --help prints above them.
      picture: its name, for messages.

    Raises:
      ConfigError: an unknown flag, a stray word or a field of a config.
    """
    values, overrides = parse(argv, define, usage)
    if overrides:
        raise ConfigError(f"'{overrides[0]}': results have no config to set", f"plot {picture}")
    return values


def parse_folders(
    argv: list[str], define: Callable, usage: str, picture: str
) -> tuple[list[str], flags.FlagValues]:
    """Parses the command line of a picture of runs: their folders, then flags. Args: as `parse_flags`.

    Returns:
      (folders, flags).

    Raises:
      ConfigError: no folder, or as `parse_flags`.
    """
    n = next((i for i, argument in enumerate(argv) if argument.startswith("-")), len(argv))
    values = parse_flags(argv[n:], define, usage, picture)
    if n == 0:
        text = f"name the runs' folders first: ./run.sh plot {picture} RUN ..."
        raise ConfigError(text, f"plot {picture}")
    return argv[:n], values


def save(figure: "Figure", path: Path) -> None:
    """Writes a figure and prints where.

    Raises:
      ConfigError: the place cannot be written.
    """
    with asked_for(path, "--out"):
        save_figure(figure, path, dpi=150)
    print(path)
