"""What the commands of all pictures share: their flags, and where a picture goes."""

from collections.abc import Callable
from pathlib import Path

from absl import flags

from lib.command_line import parse
from lib.errors import ConfigError
from lib.runtime.files import replacing

_FORMATS = (".png", ".pdf", ".svg")


def parsed(argv: list[str], define: Callable, usage: str, picture: str) -> flags.FlagValues:
    """The flags of a picture that is not of a config."""
    values, overrides = parse(argv, define, usage)
    if overrides:
        raise ConfigError(f"{picture}: '{overrides[0]}': results have no config to set")
    return values


def folders_of_runs(
    argv: list[str], define: Callable, usage: str, picture: str
) -> tuple[list[str], flags.FlagValues]:
    """(folders before the first flag, flags with --out) of a picture of runs."""

    def with_out(values: flags.FlagValues) -> None:
        define(values)
        flags.DEFINE_string("out", f"{picture}.png", "The file.", flag_values=values)

    n = next((i for i, argument in enumerate(argv) if argument.startswith("-")), len(argv))
    values = parsed(argv[n:], with_out, usage, f"plot {picture}")
    if n == 0:
        raise ConfigError(f"plot {picture}: name the runs' folders first: ./run.sh plot {picture} RUN ...")
    return argv[:n], values


def show(drawn, methods: list, out: str) -> None:
    print(drawn.table(methods))
    save(drawn.picture(methods), Path(out))


def save(figure, path: Path) -> None:
    """Writes a matplotlib figure and says where.

    Raises:
      ConfigError: the ending is none of a picture's, or the place cannot be written.
    """
    if path.suffix not in _FORMATS:
        raise ConfigError(f"--out: '{path}' must end in {', '.join(_FORMATS)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], dpi=150)
    except OSError as error:
        raise ConfigError(f"--out: cannot write '{path}' ({error.strerror}); name another file") from error
    print(path)
