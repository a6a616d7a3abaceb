"""Scores a checkpoint: `./run.sh eval`. The run's own config is read from its work directory."""

import sys
from pathlib import Path
from typing import NamedTuple

from absl import flags

from eval import activations, distances, tfgan
from eval.best_checkpoint import BestCheckpoint
from eval.ensemble import score_sweep
from eval.evaluation import Evaluator
from eval.follow import Follower
from experiments import catalogue, registry
from lib.command_line import parse
from lib.config import load_file
from lib.errors import ConfigError, one_line_errors
from lib.runtime import cache
from lib.runtime.checkpoints import WriteError
from lib.runtime.interval_means import NotFiniteError
from lib.runtime.run_folder import RunFolder, check_same_run, find

_USAGE = """Scores a checkpoint: the newest of a run, or any other.

  ./run.sh eval [--config.restore_path=PATH] [--with=tfgan] [--config.eval.FIELD=VALUE ...]
  ./run.sh eval [--config.restore_path=PATH] --follow [--final_split=test]
  ./run.sh eval --ensemble=SWEEP
  ./run.sh eval [--config.restore_path=PATH] --activations=FILE.npy [--split=train]

PATH is a work directory, its checkpoints folder, or one step's folder. The run's own config is read from
its work directory; --config=FILE, if given, must agree with it. SWEEP is a sweep's folder: classifiers that
differ in their seed alone are scored by their mean prediction. --activations scores nothing: it writes what
a classifier's network, with its last parameters, makes of each image before its logits: rows for EigenGame.
"""
_RESTORE = "--config.restore_path="
_EVAL_SPLIT = "--config.dataset.eval_split="


class Request(NamedTuple):
    """What a command line asks for.

    Attributes:
      folder: of the run.
      step: of the checkpoint; None for the newest.
      follow: whether every checkpoint is scored, also those that training has not written yet.
      final_split: on which the best of these is scored in the end; empty: on no other.
      with_tfgan: whether TF-GAN computes the scores.
      activations: the file that is written in the place of scoring; empty: none.
      split: whose; empty: the training split.
      overrides: `--config.a.b=VALUE`, of the run's own config.
    """

    folder: RunFolder
    step: int | None
    follow: bool
    final_split: str
    with_tfgan: bool
    activations: str
    split: str
    overrides: list[str]


def read_command_line(argv: list[str]) -> Request | Path:
    """Reads what is to be scored, and how: a run, or the sweep in a folder as ensembles.

    Raises:
      ConfigError: there is no such run, or --config=FILE is not the run's.
    """
    values, overrides = parse(argv, _define, _USAGE)
    if values.ensemble:
        if overrides or values.config or values.workdir or values.follow or values["with"].value:
            raise ConfigError("scores a whole sweep; leave out all else", "--ensemble")
        return Path(values.ensemble)
    named = [o.removeprefix(_RESTORE) for o in overrides if o.startswith(_RESTORE)]
    if named and values.workdir and find(named[-1])[0].path != RunFolder(values.workdir).path:
        raise ConfigError("this and --config.restore_path name two runs; give one of them", "--workdir")
    path = (named or [values.workdir])[-1]
    path = path or str(catalogue.default_folder(values.config or catalogue.DEFAULT))
    if not (named or values.workdir or Path(path).is_dir()):
        raise ConfigError(
            f"no run in '{path}'; train one with ./run.sh train, or name a checkpoint with {_RESTORE}PATH"
        )
    folder, step = find(path)
    if values.follow and step is not None:
        raise ConfigError("takes a run, not one step; name its work directory", "--follow")
    if values.final_split and not values.follow:
        raise ConfigError("is of the best of all checkpoints; add --follow", "--final_split")
    if values.config:
        check_same_run(load_file(values.config), registry.own_config(folder), folder, "--config")
    _check_activations(values)
    with_tfgan = values["with"].value == "tfgan"
    asked = values.activations, values.split
    return Request(folder, step, values.follow, values.final_split, with_tfgan, *asked, overrides)


def _check_activations(values: flags.FlagValues) -> None:
    """Checks the flags of the matrix of activations."""
    if values.activations and (values.follow or values["with"].value):
        raise ConfigError("are of one checkpoint, without scores; leave out all else", "--activations")
    if values.activations and not values.activations.endswith(".npy"):
        raise ConfigError(f"'{values.activations}' must end in .npy", "--activations")
    if values.split and not values.activations:
        raise ConfigError("is that of the activations; add --activations=FILE.npy", "--split")


def _define(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    flags.DEFINE_string("config", None, "The config file, to check against the run's.", flag_values=values)
    flags.DEFINE_bool("follow", False, "Wait for new checkpoints and score each once.", flag_values=values)
    flags.DEFINE_string(
        "workdir", None, "The run's work directory; like --config.restore_path.", flag_values=values
    )
    final = "With --follow: score the best checkpoint on this split in the end, such as test."
    flags.DEFINE_string("final_split", "", final, flag_values=values)
    by = "Who computes the scores, and runs Inception: tfgan, by TensorFlow; else this program, by JAX."
    flags.DEFINE_enum("with", None, ["tfgan"], by, flag_values=values)
    text = "Write the activations before the logits, and score nothing."
    flags.DEFINE_string("activations", "", text, flag_values=values)
    flags.DEFINE_string("split", "", "With --activations; default: the training split.", flag_values=values)
    flags.DEFINE_string("ensemble", None, "A sweep's folder; nothing else is given.", flag_values=values)


def open_evaluator(request: Request, *more: str) -> Evaluator:
    """Opens a run to be scored, and checks what can be checked before there is a checkpoint.

    Args:
      more: overrides of its config beside the request's.
    """
    programs = registry.open_run(request.folder, [*request.overrides, *more])
    evaluator = Evaluator(programs, request.folder, tfgan if request.with_tfgan else distances)
    evaluator.check()
    return evaluator


def evaluate(evaluator: Evaluator, step: int | None) -> int:
    """Scores one checkpoint, the newest if no step is given; returns the exit code."""
    step, state = evaluator.folder.restore(evaluator.programs.abstract_state(), step)
    try:
        evaluator.evaluate(state, step)
    except NotFiniteError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def follow(evaluator: Evaluator) -> int:
    """Scores all checkpoints until training has ended, and names the best; returns the exit code."""
    follower = Follower(evaluator)
    try:
        with follower.alone():
            show_best(follower.best, follower.follow())
    except WriteError as error:
        print(f"error: the best checkpoint is not kept: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on with what is not scored yet")
        return 130
    return 0


def show_best(best: BestCheckpoint, record: dict | None) -> None:
    """Says which checkpoint was the best of a run that has ended.

    Raises:
      ConfigError: there is none.
    """
    if record is None:
        raise ConfigError("training has ended without a checkpoint that could be scored")
    name, step = best.metric(record), record["step"]
    where = "kept in best/" if best.kept_step() == step else "no longer on disk: training dropped it"
    print(f"\ntraining has ended; best by {name}: step {step:,} with {record[name]:.4g}, {where}")


def main(argv: list[str]) -> int:
    """Scores what the command line names; returns the exit code."""
    with one_line_errors():
        request = read_command_line(argv)
        if isinstance(request, Path):
            cache.use_compilation_cache()
            score_sweep(request)
            return 0
        cache.use_compilation_cache()
        if request.activations:
            file, overrides = Path(request.activations), request.overrides
            activations.write(request.folder, request.step, file, request.split, overrides)
            return 0
        evaluator, where, final = open_evaluator(request), request.folder, None
        if request.final_split:  # opened now, so that a bad one is refused
            final = open_evaluator(request, _EVAL_SPLIT + request.final_split)
        where.create()
        code = follow(evaluator) if request.follow else evaluate(evaluator, request.step)
        if code == 0 and final:
            where = RunFolder(where.path / "best")
            code = evaluate(final.of(where), None)
        if code == 0:
            print(f"\nrecorded in {where.metrics / 'eval.jsonl'}; pictures in {where.figures}")
        return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
