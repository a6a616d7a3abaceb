"""What an evaluation costs: `./run.sh bench eval`, on the default run's networks, in one process."""

import collections
import functools
import resource
from collections.abc import Callable

import jax
import numpy as np

from benchmarks.command import image_programs, read_config
from benchmarks.timing import timed
from eval import distances, sampling, scores, tfgan
from eval.neighbours import neighbour_scores, squared_radii
from eval.networks import Network, scoring_network
from eval.networks.network import Array
from lib.errors import one_line_errors
from lib.runtime.programs import Programs
from lib.schema import Run

_USAGE = """Measures sampling, the scoring network and the distances of an evaluation, in one run.

  ./run.sh bench eval [--config=FILE] [--config.eval.FIELD=VALUE ...]
"""
_FEATURES = 2048  # Inception's
_MOST_SAMPLES = 10_000
_NEIGHBOURS = 5


def measure(config: Run) -> None:
    """Prints what the parts of an evaluation cost, and the peak memory.

    Raises:
      ConfigError: the config's experiment makes no images.
    """
    programs = image_programs(config)
    devices = programs.devices
    print(f"{len(devices)} x {devices[0].device_kind}, batches of {config.eval.batch_size}")
    _measure_images(programs, config)
    _measure_distances(np.random.default_rng(0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{'peak memory of the process':39} {peak:12.2f} GiB")
    if used := devices[0].memory_stats():
        print(f"{'peak memory of the device':39} {used['peak_bytes_in_use'] / 2**30:12.2f} GiB")


def _measure_images(programs: Programs, config: Run) -> None:
    """Prints the rates of sampling and of the scoring network."""
    section = config.eval
    n, b = min(section.num_samples, _MOST_SAMPLES), section.batch_size
    placed = programs.place(jax.device_get(programs.init()))
    draw = functools.partial(sampling.generated, programs, placed, n, b, 0, quiet=True)
    _print_rate("sampling", n, lambda: collections.deque(draw(), maxlen=0))
    network = scoring_network(config, programs.data.train).load()
    batch = next(draw())
    calls = -(-n // b)
    rivals = {f"network ({network.name})": network}
    if network.name == "inception":
        rivals[".. by TensorFlow"] = scoring_network(config, programs.data.train, with_tfgan=True).load()
    for name, rival in rivals.items():
        work = functools.partial(_apply_often, rival, batch, calls)
        _print_rate(name, calls * len(batch), work)


def _apply_often(network: Network, batch: Array, times: int) -> None:
    """Applies a network to the same images, and waits for the features."""
    jax.block_until_ready([network.apply(batch) for _ in range(times)])


def _measure_distances(rng: np.random.Generator) -> None:
    """Prints the rate of moments of random features, and the times of the distances between two sets."""
    n = 2 * _FEATURES
    features, others = (rng.normal(size=(n, _FEATURES)).astype(np.float32) for _ in range(2))
    moments, other_moments = scores.FeatureMoments(), scores.FeatureMoments()
    _print_rate(f"moments, {_FEATURES} features", n, lambda: moments.update(features))
    other_moments.update(others)
    a, b = moments.gaussian(), other_moments.gaussian()
    x, y = np.split(features, 2)
    root, radii = distances.square_root(a.covariance), squared_radii(x, _NEIGHBOURS)
    times = {
        f"Frechet distance, {_FEATURES} features": lambda: distances.frechet_distance(a, b),
        ".. where the reference's root is known": lambda: distances.frechet_distance(a, b, root),
        ".. by TF-GAN": lambda: tfgan.frechet_distance(a, b),
        f"kernel distance, {len(x)} x {len(y)}": lambda: distances.kernel_distance(x, y),
        ".. by TF-GAN ": lambda: tfgan.kernel_distance(x, y),
        f"neighbours' scores, {len(x)} x {len(y)}": lambda: neighbour_scores(x, y, _NEIGHBOURS, radii),
    }
    for name, work in times.items():
        _print_time(name, work)


def _print_rate(name: str, images: int, work: Callable[[], object]) -> None:
    """Prints the images/s of a piece of work, after one warm-up."""
    work()
    seconds = timed(work)
    print(f"{name:39} {images / seconds:12,.0f} images/s  ({images:,} in {seconds:.2f} s)", flush=True)


def _print_time(name: str, work: Callable[[], object]) -> None:
    """Prints the seconds of a piece of work, after one warm-up."""
    work()
    print(f"{name:39} {timed(work):12.2f} s", flush=True)


def main(argv: list[str]) -> int:
    """Measures the evaluation of the config that a command line names; returns the exit code."""
    with one_line_errors():
        measure(read_config(argv, _USAGE))
    return 0
