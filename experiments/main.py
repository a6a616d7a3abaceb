"""Trains the experiment of a config: `./run.sh train`. The same command continues a stopped run."""

import contextlib
import sys

from experiments.arguments import read_command_line
from experiments.training import Training
from lib.errors import one_line_errors
from lib.runtime import cache, processes
from lib.runtime.profile import Profile
from lib.runtime.run_folder import RunFolder


def train(raw_config, folder: RunFolder, profile: int = 0) -> int:
    """Trains, or continues, the run of a config in a work directory; returns the exit code.

    Args:
      profile: of how many steps one is written.

    Raises:
      ConfigError: bad input of any kind, before anything compiles.
    """
    with contextlib.closing(Training(raw_config, folder)) as training:
        training.trainer.profile = Profile(folder.path / "profile", profile)
        return training.run()


def main(argv: list[str]) -> int:
    with one_line_errors():
        config, path, address, seconds, profile = read_command_line(argv)
        cache.use_compilation_cache()
        if address is None:
            return train(config, RunFolder(path), profile)
        with processes.joined(address, seconds):
            processes.check_same(
                config.to_json(), "the processes were started with different ones", "--config"
            )
            return train(config, RunFolder(path, ours=processes.is_first()), profile)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
