"""Scores a checkpoint: `./run.sh eval`. The run's own config is read from its work directory."""

import sys
from pathlib import Path

from absl import flags

from eval.evaluation import Evaluator
from eval.follow import Follower
from experiments import catalogue, registry
from lib.command_line import parse
from lib.config import apply_overrides, load_file
from lib.errors import ConfigError, one_line_errors
from lib.runtime import cache
from lib.runtime.checkpoints import WriteError
from lib.runtime.run_folder import RunFolder, check_same_run, find
from lib.runtime.trainer import NotFiniteError

_USAGE = """Scores a checkpoint: the newest of a run, or any other.

  ./run.sh eval [--config.restore_path=PATH] [--follow] [--config.eval.FIELD=VALUE ...]

PATH is a work directory, its checkpoints folder, or one step's folder. The run's own config is read from its
work directory; --config=FILE, if given, must agree with it.
"""
_RESTORE = "--config.restore_path="


def _define(values: flags.FlagValues) -> None:
    flags.DEFINE_string("config", None, "The config file, to check against the run's.", flag_values=values)
    flags.DEFINE_bool("follow", False, "Wait for new checkpoints and score each once.", flag_values=values)
    flags.DEFINE_string(
        "workdir", None, "The run's work directory; like --config.restore_path.", flag_values=values
    )


def read_command_line(argv: list[str]):
    """(flags, the run's config with overrides, its work directory, the step or None).

    Raises:
      ConfigError: no such run, or fields given that contradict the run's own config.
    """
    values, overrides = parse(argv, _define, _USAGE)
    named = [o.removeprefix(_RESTORE) for o in overrides if o.startswith(_RESTORE)]
    if named and values.workdir and find(named[-1])[0].path != RunFolder(values.workdir).path:
        raise ConfigError("--workdir and --config.restore_path name two runs; give one of them")
    path = (named or [values.workdir])[-1]
    path = path or str(catalogue.default_folder(values.config or catalogue.DEFAULT))
    if not (named or values.workdir or Path(path).is_dir()):
        raise ConfigError(
            f"no run in '{path}'; train one with ./run.sh train, or name a checkpoint with {_RESTORE}PATH"
        )
    folder, step = find(path)
    if values.follow and step is not None:
        raise ConfigError("--follow: takes a run, not one step; name its work directory")
    own = registry.own_config(folder)
    if values.config:
        check_same_run(load_file(values.config), own, folder, "--config")
    config = apply_overrides(own, overrides)
    check_same_run(config, own, folder, "--config")
    return values, registry.validated(config), folder, step


def show_best(follower: Follower, best: dict | None) -> None:
    """Says which checkpoint was the best of a run that has ended."""
    if best is None:
        raise ConfigError("training has ended without a checkpoint that could be scored")
    name, step = follower.metric(best), best["step"]
    where = "kept in best/" if follower.kept() == step else "no longer on disk: training dropped it"
    print(f"\ntraining has ended; best by {name}: step {step:,} with {best[name]:.4g}, {where}")


def main(argv: list[str]) -> int:
    with one_line_errors():
        values, config, folder, step = read_command_line(argv)
        cache.use_compilation_cache()
        folder.create()
        programs = registry.programs(config)
        evaluator = Evaluator(programs, folder)
        if values.follow:
            follower = Follower(evaluator)
            try:
                show_best(follower, follower.follow())
            except WriteError as error:
                print(f"error: cannot keep the best checkpoint: {error}", file=sys.stderr)
                return 1
            except KeyboardInterrupt:
                print("\nstopped; the same command goes on with what is not scored yet")
                return 130
        else:
            step, state = folder.restore(programs.abstract_state(), step)
            try:
                evaluator.evaluate(state, step)
            except NotFiniteError as error:
                print(f"error: {error}", file=sys.stderr)
                return 1
        print(f"\nrecorded in {folder.metrics / 'eval.jsonl'}; pictures in {folder.figures}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
