"""Draws a picture of results: `./run.sh plot PICTURE ...`."""

import sys
from collections.abc import Callable
from pathlib import Path

from absl import flags

from experiments.sweep import plots
from lib.command_line import parse
from lib.config import ConfigError, apply_overrides, load_file, lookup, one_line_errors
from lib.files import replacing

_USAGE = """Draws a picture of results. Each picture's own options: ./run.sh plot PICTURE --help

  ./run.sh plot sweep DIR --x=FIELD --y=METRIC   curves or a heat map over the runs of a sweep
  ./run.sh plot local_error                      the drift of updates, on both clocks
  ./run.sh plot momentum --config=FILE           what momentum does to a toy game
  ./run.sh plot principal_flow                   gradient descent against flows that model it
  ./run.sh plot compare RUN [RUN ...]            learning rates and losses against epochs and iterations
  ./run.sh plot eigengame RUN [RUN ...]          streaks and distances of EigenGame runs and of scikit-learn
  ./run.sh plot sharpness RUN [RUN ...]          the Hessian's largest eigenvalue and 2/h along training
  ./run.sh plot spectrum --config.restore_path=PATH   eigenvalues of a trained game and of its update
"""
_SWEEP_USAGE = """Draws a metric of the runs of a sweep; names of fields and metrics may be short.

  ./run.sh plot sweep DIR --x=FIELD --y=METRIC [--hue=FIELD]   mean and spread over seeds at each value
  ./run.sh plot sweep DIR --x=step --y=METRIC [--hue=FIELD]    learning curves
  ./run.sh plot sweep DIR --x=FIELD --y=FIELD --hue=METRIC     a heat map
"""
_LOCAL_ERROR_USAGE = """Draws how far one update of a game is from its flow and its modified flows, against the rate.

  ./run.sh plot local_error [--ratio=0.4] [--out=FILE]
"""
_PRINCIPAL_FLOW_USAGE = """Draws, and prints, how near gradient flow, IGR and the principal flow are to gradient descent.

  ./run.sh plot principal_flow [--out=FILE]
"""
_EIGENGAME_USAGE = """Draws, and prints, how soon runs of EigenGame find the true eigenvectors.

  ./run.sh plot eigengame RUN [RUN ...] [--sklearn] [--out=FILE]
"""
_COMPARE_USAGE = """Draws, and prints, learning rates and losses of runs; runs over seeds are one curve.

  ./run.sh plot compare RUN [RUN ...] [--out=FILE]
"""
_MOMENTUM_USAGE = """Draws what momentum does to a toy game: spectral radii, eigenvalues, phase portraits; prints a table.

  ./run.sh plot momentum [--config=FILE] [--config.FIELD=VALUE ...] [--rate=0.3] [--out=FILE]
"""
_SHARPNESS_USAGE = """Draws, and prints, the largest Hessian eigenvalue of runs of one player at their checkpoints, and 2/h.

  ./run.sh plot sharpness RUN [RUN ...] [--examples=N] [--out=FILE]
"""
_SPECTRUM_USAGE = """Draws, and prints, extreme eigenvalues of a trained run's game and of its update rule.

  ./run.sh plot sharpness RUN [RUN ...]          the Hessian's largest eigenvalue and 2/h along training
  ./run.sh plot spectrum --config.restore_path=PATH [--k=20] [--examples=N] [--out=FILE]

PATH is a work directory, its checkpoints folder, or one step's folder.
"""
_RESTORE = "--config.restore_path="
_FORMATS = (".png", ".pdf", ".svg")


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
    values = _parsed(argv, define, _SWEEP_USAGE, "plot sweep")
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


def _parsed(argv: list[str], define: Callable, usage: str, picture: str) -> flags.FlagValues:
    """The flags of a picture that is not of a config."""
    values, overrides = parse(argv, define, usage)
    if overrides:
        raise ConfigError(f"{picture}: '{overrides[0]}': results have no config to set")
    return values


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


def local_error(argv: list[str]) -> None:
    """Draws local errors of updates against flows on both clocks.

    Raises:
      ConfigError: unknown flags, or a ratio that is not positive.
    """

    def define(values: flags.FlagValues) -> None:
        flags.DEFINE_float("ratio", 0.4, "Generator's rate over discriminator's.", flag_values=values)
        flags.DEFINE_string("out", "local_error.png", "The file.", flag_values=values)

    values = _parsed(argv, define, _LOCAL_ERROR_USAGE, "plot local_error")
    if values.ratio <= 0:
        raise ConfigError(f"--ratio: {values.ratio:g} is no ratio of learning rates; use one above 0")
    from experiments.games import local_error as drawn

    save(drawn.picture(values.ratio), Path(values.out))


def principal_flow(argv: list[str]) -> None:
    """Draws gradient descent on small losses against the flows that model it, and prints their distances.

    Raises:
      ConfigError: unknown flags.
    """

    def define(values: flags.FlagValues) -> None:
        flags.DEFINE_string("out", "principal_flow.png", "The file.", flag_values=values)

    values = _parsed(argv, define, _PRINCIPAL_FLOW_USAGE, "plot principal_flow")
    from experiments.games import principal_flow as drawn

    print(drawn.table())
    save(drawn.picture(), Path(values.out))


def eigengame(argv: list[str]) -> None:
    """Draws streaks and subspace distances of runs against epochs and time, and prints a table.

    Raises:
      ConfigError: unknown flags, or folders that hold no comparable runs of EigenGame.
    """

    def define(values: flags.FlagValues) -> None:
        flags.DEFINE_bool(
            "sklearn", False, "Also scikit-learn's PCA and IncrementalPCA.", flag_values=values
        )

    folders, values = _of_runs(argv, define, _EIGENGAME_USAGE, "eigengame")
    from experiments.eigengame import compare as drawn

    _show(drawn, drawn.of_runs(folders, values.sklearn), values.out)


def compare(argv: list[str]) -> None:
    """Draws learning rates and losses of runs against epochs and iterations, and prints a table.

    Raises:
      ConfigError: unknown flags, or folders that hold no comparable runs.
    """
    folders, values = _of_runs(argv, lambda values: None, _COMPARE_USAGE, "compare")
    from experiments import compare as drawn

    _show(drawn, drawn.of_runs(folders), values.out)


def spectrum(argv: list[str]) -> None:
    """Draws the spectrum of a checkpoint's game and update, and prints whether they are stable.

    Raises:
      ConfigError: unknown flags, a field of the config besides restore_path, or see experiments/spectrum.py.
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
    from experiments import spectrum as found
    from experiments import spectrum_picture

    result = found.of_run(overrides[-1].removeprefix(_RESTORE), values.k, values.examples)
    print(found.table(result))
    save(spectrum_picture.picture(result), Path(values.out))


def sharpness(argv: list[str]) -> None:
    """Draws the edge of stability: the largest Hessian eigenvalue along training, and 2/h.

    Raises:
      ConfigError: unknown flags, or folders that hold no such runs.
    """
    folders, values = _of_runs(argv, _define_examples, _SHARPNESS_USAGE, "sharpness")
    from experiments import sharpness as drawn

    _show(drawn, drawn.of_runs(folders, values.examples), values.out)


def _define_examples(values: flags.FlagValues) -> None:
    text = "Of the training split; default: as a step takes."
    flags.DEFINE_integer("examples", None, text, flag_values=values)


def _of_runs(
    argv: list[str], define: Callable, usage: str, picture: str
) -> tuple[list[str], flags.FlagValues]:
    """(folders before the first flag, flags with --out) of a picture of runs."""

    def with_out(values: flags.FlagValues) -> None:
        define(values)
        flags.DEFINE_string("out", f"{picture}.png", "The file.", flag_values=values)

    n = next((i for i, argument in enumerate(argv) if argument.startswith("-")), len(argv))
    values = _parsed(argv[n:], with_out, usage, f"plot {picture}")
    if n == 0:
        raise ConfigError(f"plot {picture}: name the runs' folders first: ./run.sh plot {picture} RUN ...")
    return argv[:n], values


def _show(drawn, methods: list, out: str) -> None:
    print(drawn.table(methods))
    save(drawn.picture(methods), Path(out))


def momentum(argv: list[str]) -> None:
    """Draws spectral radii, eigenvalues and phase portraits of a game against momentum, and prints a table.

    Raises:
      ConfigError: unknown flags, a config of another experiment, or a rate that is not positive.
    """

    def define(values: flags.FlagValues) -> None:
        flags.DEFINE_string("config", None, "A toy game's; default: bilinear.", flag_values=values)
        flags.DEFINE_float("rate", 0.3, "Learning rate of all players.", flag_values=values)
        flags.DEFINE_string("out", "momentum.png", "The file.", flag_values=values)

    values, overrides = parse(argv, define, _MOMENTUM_USAGE)
    if values.rate <= 0:
        raise ConfigError(f"--rate: {values.rate:g} is no learning rate; use one above 0")
    from experiments import registry, runs
    from experiments.games import momentum as drawn

    file = values.config or runs.ROOT / "configs/games/bilinear.py"
    config = registry.validated(apply_overrides(load_file(file), overrides))
    if config.experiment != "games":
        raise ConfigError(f"--config: '{file}' is no toy game; use one of configs/games")
    found = drawn.analyse(config.games, values.rate)
    print(drawn.table(found))
    save(drawn.picture(config.games, values.rate, found), Path(values.out))


PICTURES: dict[str, Callable[[list[str]], None]] = {
    "compare": compare,
    "eigengame": eigengame,
    "local_error": local_error,
    "momentum": momentum,
    "principal_flow": principal_flow,
    "sharpness": sharpness,
    "spectrum": spectrum,
    "sweep": sweep,
}


def main(argv: list[str]) -> int:
    with one_line_errors():
        if not argv:
            raise ConfigError(f"plot: name a picture; known: {', '.join(PICTURES)}")
        if argv[0] in ("-h", "--help"):
            print(_USAGE)
            return 0
        lookup(PICTURES, argv[0], "plot")(argv[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
