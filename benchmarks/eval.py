"""What an evaluation costs: `./run.sh bench eval`, on the default run's networks, in one process."""

import collections
import functools
import resource
import time
from collections.abc import Callable

import jax
import numpy as np
from absl import flags

from eval import sampling, scores
from eval.networks import NETWORKS
from experiments import catalogue, registry
from lib.command_line import parse
from lib.config import apply_overrides, load_file
from lib.errors import ConfigError, one_line_errors
from lib.runtime import cache

_USAGE = """Measures sampling, the scoring network and the distances of an evaluation, side by side in one run.

  ./run.sh bench eval [--config=FILE] [--config.eval.FIELD=VALUE ...]
"""
_FEATURES = 2048  # Inception's


def timed(name: str, images: int, work: Callable[[], object]) -> None:
    """Prints images/s of a piece of work, after one warm-up."""
    work()
    begun = time.perf_counter()
    work()
    seconds = time.perf_counter() - begun
    print(f"{name:34} {images / seconds:12,.0f} images/s  ({images:,} in {seconds:.2f} s)", flush=True)


def bench(config) -> None:
    """Prints the table."""
    programs = registry.programs(config)
    if "samples" not in programs.experiment.outputs:
        raise ConfigError(
            f"--config: experiment '{config.experiment}' makes no images to score; use a GAN's on images"
        )
    section = config.eval
    n, b = min(section.num_samples, 10_000), section.batch_size
    state = jax.device_get(programs.init())
    print(f"{len(programs.devices)} x {programs.devices[0].device_kind}, batches of {b}")
    draw = functools.partial(sampling.generated, programs, state, n, b, 0, quiet=True)
    timed("sampling", n, lambda: collections.deque(draw(), maxlen=0))
    network = NETWORKS[section.network](config, programs.data.train)
    batch = next(draw())
    parts = -(-n // b)
    timed(
        f"network ({network.name})",
        parts * len(batch),
        lambda: [network.apply(batch) for _ in range(parts)],
    )

    rng = np.random.default_rng(0)
    features = rng.normal(size=(2 * _FEATURES, _FEATURES)).astype(np.float32)
    moments = scores.Moments()
    timed(f"moments, {_FEATURES} features", len(features), lambda: moments.update(features))
    other = scores.Moments()
    other.update(rng.normal(size=(2 * _FEATURES, _FEATURES)))
    a, b = moments.gaussian(), other.gaussian()
    half = len(features) // 2
    for name, work in (
        (f"Frechet distance, {_FEATURES} features", lambda: scores.frechet_distance(a, b)),
        (
            f"kernel distance, {half} x {half}",
            lambda: scores.kernel_distance(features[:half], features[half:]),
        ),
    ):
        work()
        begun = time.perf_counter()
        work()
        print(f"{name:34} {time.perf_counter() - begun:12.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{'peak memory of the process':34} {peak:12.2f} GiB")
    if used := programs.devices[0].memory_stats():
        print(f"{'peak memory of the device':34} {used['peak_bytes_in_use'] / 2**30:12.2f} GiB")


def main(argv: list[str]) -> int:
    with one_line_errors():
        default = str(catalogue.DEFAULT)
        define = lambda values: flags.DEFINE_string(
            "config", default, "The config file.", flag_values=values
        )
        values, overrides = parse(argv, define, _USAGE)
        config = apply_overrides(load_file(values.config), overrides)
        cache.use_compilation_cache()
        bench(registry.validated(config))
    return 0
