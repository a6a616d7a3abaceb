"""A trained run as a point of its game, for analyses: its update rule, and a fixed batch."""

import itertools
from typing import Any

import jax
import numpy as np

from experiments import registry
from lib.data.pipeline import eval_batches
from lib.errors import ConfigError
from lib.runtime import cache
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder
from lib.runtime.words import check_words


def open_game(folder: RunFolder) -> Programs:
    """Builds the programs of a run, on one device.

    Raises:
      ConfigError: the experiment has not one update rule.
    """
    cache.use_compilation_cache()
    config = registry.validated(registry.own_config(folder))
    programs = registry.programs(config, jax.local_devices()[:1])
    check_words(folder, programs.data.train.words_digest)
    if programs.experiment.game is None:
        toys = "; plot momentum shows toy games" if config.experiment == "games" else ""
        raise ConfigError(
            f"a run of '{config.experiment}' has not one update rule; "
            f"name a run of gan or classifier{toys}",
            "config.experiment",
        )
    return programs


def first_examples(programs: Programs, n: int | None) -> Any:
    """Returns what the rule's step takes, of the first n examples of the training split, not augmented.

    Args:
      programs: of an experiment with one update rule.
      n: by default as many as a training step takes.

    Raises:
      ConfigError: the split or the rule does not have n.
    """
    return jax.tree.map(lambda x: x[0], first_batches(programs, n, 1))


def first_batches(programs: Programs, n: int | None, m: int) -> Any:
    """Returns the first m batches, leaves [m, ...], each as of `first_examples`.

    Raises:
      ConfigError: the split does not have so many, or the rule does not take n.
    """
    experiment, train = programs.experiment, programs.data.train
    parts = experiment.batches_per_step
    n = programs.config.batch_size * parts if n is None else n
    least = experiment.min_device_batch * parts
    if not least <= n <= train.size or n % parts:
        most = train.size - train.size % parts
        multiple = f", a multiple of {parts}" if parts > 1 else ""
        raise ConfigError(f"{n} does not fit; use {least} .. {most:,}{multiple}", "--examples")
    if m * n > train.size:
        raise ConfigError(f"{m} of {n:,} examples are too many; use at most {train.size // n}", "--batches")
    batches = itertools.islice(eval_batches(train, n), m)
    return jax.tree.map(lambda *x: np.stack(x), *map(experiment.game.batch, batches))
