"""A trained run as a point of its game, for analyses: its update rule, states, and a fixed batch."""

from typing import Any

import jax

from experiments import registry
from experiments.runs import make_runner, own_config
from lib import devices
from lib.config import ConfigError
from lib.data.pipeline import eval_batches
from lib.runner import Runner
from lib.workdir import Workdir


def open_run(workdir: Workdir) -> Runner:
    """The runner of a run, on one device; writes nothing.

    Raises:
      ConfigError: the experiment has not one update rule.
    """
    devices.use_compilation_cache()
    config = registry.validated(own_config(workdir))
    runner = make_runner(config, workdir, jax.local_devices()[:1])
    if runner.experiment.rule is None:
        raise ConfigError(
            f"config.experiment: a run of '{config.experiment}' has not one update rule; name a run of gan or "
            "classifier" + ("; plot momentum shows toy games" if config.experiment == "games" else "")
        )
    return runner


def first_examples(runner: Runner, n: int | None) -> Any:
    """What the rule's step takes, of the first n examples of the training split, not augmented.

    Args:
      n: by default as many as a training step takes.

    Raises:
      ConfigError: the split or the rule does not have n.
    """
    experiment, size = runner.experiment, runner.data[0].size
    parts = experiment.batches_per_step
    n = runner.config.batch_size * parts if n is None else n
    least = experiment.min_device_batch * parts
    if not least <= n <= size or n % parts:
        most = size - size % parts
        multiple = f", a multiple of {parts}" if parts > 1 else ""
        raise ConfigError(f"--examples: {n} does not fit; use {least} .. {most:,}{multiple}")
    return experiment.rule_batch(next(eval_batches(runner.data[0], n)))
