"""A metric of the runs of a sweep, against a field or the step, or as a heat map: `./run.sh plot sweep`."""

from pathlib import Path

from absl import flags

from analysis.command import define_out, parse_flags, save
from lib.errors import ConfigError

USAGE = """Draws a metric of the runs of a sweep; names of fields and metrics may be short.

  ./run.sh plot sweep DIR --x=FIELD --y=METRIC [--hue=FIELD]   mean and spread over seeds at each value
  ./run.sh plot sweep DIR --x=step --y=METRIC [--hue=FIELD]    learning curves
  ./run.sh plot sweep DIR --x=FIELD --y=FIELD --hue=METRIC     a heat map
  ./run.sh plot sweep DIR --until=train/model_loss:0.29 --x=FIELD --y=FIELD --hue=until/steps
"""


def define(values: flags.FlagValues) -> None:
    """Defines the flags of this picture."""
    flags.DEFINE_string("x", None, "A field, or step.", flag_values=values)
    flags.DEFINE_string("y", None, "A metric; a field for a heat map.", flag_values=values)
    flags.DEFINE_string("hue", "", "A field, one colour each; a heat map's metric.", flag_values=values)
    until = "METRIC:VALUE: adds how long runs took to it, as until/steps and until/seconds."
    flags.DEFINE_string("until", "", until, flag_values=values)
    choices, text = ["last", "best"], "A run's last value or its best."
    flags.DEFINE_enum("select", "last", choices, text, flag_values=values)
    define_out(values, None, "The file; default: DIR/figures/<names>.png.")


def run(argv: list[str]) -> None:
    """Draws a picture of a sweep.

    Raises:
      ConfigError: unknown flags, fields or metrics, or no sweep in the folder.
    """
    n = 1 if argv and not argv[0].startswith("-") else 0
    values = parse_flags(argv[n:], define, USAGE, "sweep")
    if n == 0:
        text = "name the sweep's folder first: ./run.sh plot sweep DIR --x=... --y=..."
        raise ConfigError(text, "plot sweep")
    for flag in ("x", "y"):
        if not values[flag].value:
            raise ConfigError("missing; ./run.sh plot sweep --help shows how to set it", f"--{flag}")
    from experiments.sweep import plots  # imports matplotlib: refusals come first

    folder = Path(argv[0])
    figure = plots.draw(folder, values.x, values.y, values.hue, values.select, values.until)
    save(figure, Path(values.out or folder / "figures" / _file_name(values)))


def _file_name(values: flags.FlagValues) -> str:
    """Returns a name of the picture's file that says what it shows."""
    names = [values.y, values.x, values.hue, "best" if values.select == "best" else ""]
    return "-".join(filter(None, names)).replace("/", "_") + ".png"
