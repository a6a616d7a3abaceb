"""What a training step of a GAN costs: `./run.sh bench gan`, plain and with interaction drift cancelled."""

import statistics
from collections.abc import Callable

import jax
import numpy as np
from absl import flags

from benchmarks.timing import peak, timed
from configs.play import keep_drift
from experiments import catalogue, registry
from experiments.gan.nets import NETS
from lib.command_line import parse
from lib.config import apply_overrides, load_file
from lib.data import DataSpec, load_splits
from lib.errors import ConfigError, one_line_errors
from lib.nets import conv
from lib.runtime import cache

_USAGE = """Times a GAN's training step, plain and with interaction drift cancelled, in turns in a process.

  ./run.sh bench gan [--config=FILE] [--config.FIELD=VALUE ...] [--repeats=N]
"""
_VARIANTS = {"plain": 0.0, "interaction drift cancelled": -1.0}


def compiled_step(config) -> tuple[Callable, float]:
    """Returns (a call that makes one step and waits for it, its floating-point operations).

    The operations are XLA's count of the same program with ordinary convolutions, each product and each sum
    one, whatever form the convolutions are run in.
    """
    validated = registry.validated(config)
    shape = NETS[validated.gan.nets.name].shape
    if shape is None:  # networks for images of any size
        shape = DataSpec.of(load_splits(validated.dataset).train).image_shape
    experiment = registry.build(validated, DataSpec(shape, 10, config.batch_size))
    size = config.batch_size * experiment.batches_per_step
    batch = {"image": np.random.default_rng(0).integers(0, 256, (size, *shape), np.uint8)}
    key = jax.random.key(0)
    state = jax.jit(experiment.init)(key, batch)
    counted = jax.jit(lambda *args: experiment.train_step(*args))  # not the step's trace, which is kept
    with conv.only_xla():
        operations = counted.lower(state, batch, key).compile().cost_analysis()["flops"]
    step = jax.jit(experiment.train_step, donate_argnums=0).lower(state, batch, key).compile()

    def once():
        nonlocal state
        state, _ = step(state, batch, key)
        jax.block_until_ready(state)

    return once, operations


def bench(config, repeats: int) -> None:
    """Prints the medians of all variants, which take turns, and their ratio."""
    gan = config.gan
    device = jax.devices()[0].device_kind
    print(f"{gan.nets.name} networks, batch {config.batch_size}, {gan.updates}, {device}")
    steps, seconds = {}, {name: [] for name in _VARIANTS}
    for name, multiplier in _VARIANTS.items():
        keep_drift(gan)
        for terms in gan.grad_regularizes.dd_coeffs_multiplier.values():
            terms.other_dot_prod = multiplier
        steps[name] = compiled_step(config)
        steps[name][0]()
    for _ in range(repeats):
        for name, (once, _) in steps.items():
            seconds[name].append(timed(once))
    rate = peak()
    for name, (_, operations) in steps.items():
        median = statistics.median(seconds[name])
        print(
            f"{name:28} {median:8.3f} s/step  {operations / 1e9:8.1f} GFLOP  "
            f"{operations / median / 1e9:7.1f} GFLOP/s "
            f"({100 * operations / median / rate:.0f}% of a matrix product)"
        )
    plain, cancelled = (statistics.median(seconds[name]) for name in _VARIANTS)
    print(f"{'ratio':28} {cancelled / plain:8.2f}")


def main(argv: list[str]) -> int:
    def define(values: flags.FlagValues) -> None:
        default = str(catalogue.CONFIGS / "gan/cifar10_sgd.py")
        flags.DEFINE_string("config", default, "The config file.", flag_values=values)
        flags.DEFINE_integer("repeats", 5, "Steps of each variant.", lower_bound=1, flag_values=values)

    with one_line_errors():
        values, overrides = parse(argv, define, _USAGE)
        config = apply_overrides(load_file(values.config), overrides)
        if config.experiment != "gan":
            raise ConfigError(
                f"experiment '{config.experiment}' is no GAN; use one of configs/gan", "--config"
            )
        cache.use_compilation_cache()
        bench(config, values.repeats)
    return 0
