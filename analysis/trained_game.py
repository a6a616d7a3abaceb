"""A trained run as a point of its game, for analyses: its programs, and a fixed batch of its data."""

from typing import Any

import jax
from ml_collections import ConfigDict

from experiments import registry
from lib.data.pipeline import eval_batches
from lib.errors import ConfigError
from lib.runtime import cache
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder
from lib.runtime.words import check_words


def open_game(folder: RunFolder, examples: int | None = None, batches: int = 1) -> tuple[Programs, Any]:
    """Builds the programs of a run, on one device, and reads a batch for its update rule.

    Args:
      examples: n, of the training split, not augmented; by default as many as a training step takes.
      batches: m; the batch is of the first m n examples, and losses are computed of n at a time.

    Returns:
      (programs, what the rule's step takes).

    Raises:
      ConfigError: the experiment has not one update rule, no losses in parts where m > 1, or the split or
        the rule does not have so many examples.
    """
    cache.use_compilation_cache()
    raw = registry.own_config(folder)
    has_parts = _set_microbatch(raw, examples, batches)
    programs = registry.programs(registry.validated(raw), jax.local_devices()[:1])
    check_words(folder, programs.data.train.words_digest)
    if programs.experiment.game is None:
        toys = "; plot momentum shows toy games" if raw.experiment == "games" else ""
        raise ConfigError(
            f"a run of '{raw.experiment}' has not one update rule; name a run of gan or classifier{toys}",
            "config.experiment",
        )
    if batches > 1 and not has_parts:
        raise ConfigError(f"a run of '{raw.experiment}' takes one batch; leave it out", "--batches")
    return programs, _first_examples(programs, examples, batches)


def _set_microbatch(raw: ConfigDict, examples: int | None, batches: int) -> bool:
    """Sets how many examples a run's losses see at once; tells whether they can see parts of a batch.

    Those of one batch of several; of one that is named all; else as in training.
    """
    section = raw[raw.experiment]
    if "microbatch" not in section:
        return False
    if batches > 1:
        parts = registry.validated(raw).batches_per_step
        section.microbatch = raw.batch_size if examples is None else max(examples // parts, 1)
    elif examples is not None:
        section.microbatch = 0
    return True


def _first_examples(programs: Programs, n: int | None, m: int) -> Any:
    """Returns what the rule's step takes, of the first m n examples of the training split."""
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
    if rest := m * n % (multiple := experiment.device_batch_multiple * parts):
        least = m * n + multiple - rest
        text = f"{m} of {n:,} examples are {m * n:,}, no multiple of {multiple:,}; use {least // n}"
        raise ConfigError(text, "--batches")
    return experiment.game.batch(next(eval_batches(train, m * n)))
