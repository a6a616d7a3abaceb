"""Pictures of runs: what they measured, and the spectra of what they trained."""

from pathlib import Path

from absl import flags

from analysis.command import folders_of_runs, parsed, save, show
from experiments.sweep import plots
from lib.command_line import parse
from lib.errors import ConfigError

_SWEEP_USAGE = """Draws a metric of the runs of a sweep; names of fields and metrics may be short.

  ./run.sh plot sweep DIR --x=FIELD --y=METRIC [--hue=FIELD]   mean and spread over seeds at each value
  ./run.sh plot sweep DIR --x=step --y=METRIC [--hue=FIELD]    learning curves
  ./run.sh plot sweep DIR --x=FIELD --y=FIELD --hue=METRIC     a heat map
"""
_EIGENGAME_USAGE = """Draws, and prints, how soon runs of EigenGame find the true eigenvectors.

  ./run.sh plot eigengame RUN [RUN ...] [--sklearn] [--out=FILE]
"""
_COMPARE_USAGE = """Draws, and prints, learning rates and losses of runs; runs over seeds are one curve.

  ./run.sh plot compare RUN [RUN ...] [--out=FILE]
"""
_SHARPNESS_USAGE = """Draws, and prints, the largest Hessian eigenvalue of runs of one player at their checkpoints, and 2/h.

  ./run.sh plot sharpness RUN [RUN ...] [--examples=N] [--out=FILE]
"""
_SPECTRUM_USAGE = """Draws, and prints, extreme eigenvalues of a trained run's game and of its update rule.

  ./run.sh plot spectrum --config.restore_path=PATH [--k=20] [--examples=N] [--out=FILE]

PATH is a work directory, its checkpoints folder, or one step's folder.
"""
_RESTORE = "--config.restore_path="


def sweep(argv: list[str]) -> None:
    """Draws a picture of a sweep.

    Raises:
      ConfigError: unknown flags, fields or metrics, or no sweep in the folder.
    """

    def define(values: flags.FlagValues) -> None:
        flags.DEFINE_string("x", None, "A field, or step.", flag_values=values)
        flags.DEFINE_string("y", None, "A metric; a field for a heat map.", flag_values=values)
        flags.DEFINE_string("hue", "", "A field, one colour each; a heat map's metric.", flag_values=values)
        flags.DEFINE_string("out", None, "The file; default: DIR/figures/<names>.png.", flag_values=values)
        flags.DEFINE_enum(
            "select", "last", ["last", "best"], "A run's last value or its best.", flag_values=values
        )

    folder, argv = (Path(argv[0]), argv[1:]) if argv and not argv[0].startswith("-") else (None, argv)
    values = parsed(argv, define, _SWEEP_USAGE, "plot sweep")
    if folder is None:
        raise ConfigError(
            "plot sweep: name the sweep's folder first: ./run.sh plot sweep DIR --x=... --y=..."
        )
    for flag in ("x", "y"):
        if not values[flag].value:
            raise ConfigError(f"--{flag}: missing; ./run.sh plot sweep --help shows how to set it")
    figure = plots.draw(folder, values.x, values.y, values.hue, values.select)
    names = [values.y, values.x, values.hue, "best" if values.select == "best" else ""]
    name = "-".join(filter(None, names)).replace("/", "_")
    save(figure, Path(values.out or folder / "figures" / f"{name}.png"))


def compare(argv: list[str]) -> None:
    """Draws learning rates and losses of runs against epochs and iterations, and prints a table.

    Raises:
      ConfigError: unknown flags, or folders that hold no comparable runs.
    """
    folders, values = folders_of_runs(argv, lambda values: None, _COMPARE_USAGE, "compare")
    from analysis import compare as drawn

    show(drawn, drawn.of_runs(folders), values.out)


def eigengame(argv: list[str]) -> None:
    """Draws streaks and subspace distances of runs against epochs and time, and prints a table.

    Raises:
      ConfigError: unknown flags, or folders that hold no comparable runs of EigenGame.
    """

    def define(values: flags.FlagValues) -> None:
        flags.DEFINE_bool(
            "sklearn", False, "Also scikit-learn's PCA and IncrementalPCA.", flag_values=values
        )

    folders, values = folders_of_runs(argv, define, _EIGENGAME_USAGE, "eigengame")
    from analysis import eigengame as drawn

    show(drawn, drawn.of_runs(folders, values.sklearn), values.out)


def sharpness(argv: list[str]) -> None:
    """Draws the edge of stability: the largest Hessian eigenvalue along training, and 2/h.

    Raises:
      ConfigError: unknown flags, or folders that hold no such runs.
    """
    folders, values = folders_of_runs(argv, _define_examples, _SHARPNESS_USAGE, "sharpness")
    from analysis import sharpness as drawn

    show(drawn, drawn.of_runs(folders, values.examples), values.out)


def spectrum(argv: list[str]) -> None:
    """Draws the spectrum of a checkpoint's game and update, and prints whether they are stable.

    Raises:
      ConfigError: unknown flags, a field of the config besides restore_path, or see analysis/spectrum.py.
    """

    def define(values: flags.FlagValues) -> None:
        flags.DEFINE_integer("k", 20, "How many eigenvalues of the largest magnitude.", flag_values=values)
        _define_examples(values)
        flags.DEFINE_string("out", "spectrum.png", "The file.", flag_values=values)

    values, overrides = parse(argv, define, _SPECTRUM_USAGE)
    for override in overrides:
        if not override.startswith(_RESTORE):
            raise ConfigError(f"plot spectrum: '{override}': the run's own config is used; leave it out")
    if not overrides:
        raise ConfigError(f"plot spectrum: name a run: ./run.sh plot spectrum {_RESTORE}PATH")
    if values.k < 1:
        raise ConfigError(f"--k: {values.k} is no number of eigenvalues; use 1 or more")
    from analysis import spectrum as found
    from analysis import spectrum_picture

    result = found.of_run(overrides[-1].removeprefix(_RESTORE), values.k, values.examples)
    print(found.table(result))
    save(spectrum_picture.picture(result), Path(values.out))


def _define_examples(values: flags.FlagValues) -> None:
    text = "Of the training split; default: as a step takes."
    flags.DEFINE_integer("examples", None, text, flag_values=values)
