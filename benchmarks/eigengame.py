"""What EigenGame costs: its steps against plain matrix products, and seconds to the right components."""

import functools
import math
import os
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from benchmarks.race import race
from benchmarks.timing import compiled, in_turns, square_products
from lib import data, eigengame, optimizers
from lib.command_line import parse
from lib.data import pipeline
from lib.eigengame.ascent import normalized
from lib.eigengame.pca.steps import step
from lib.errors import ConfigError, one_line_errors
from lib.runtime import cache
from lib.tables import aligned

_USAGE = """Times EigenGame: its steps, its batches, how cost grows, and how soon its vectors are right.

  ./run.sh bench eigengame [--shapes=DxKxB,...] [--middle=DxKxB] [--data=NAME] [--seeds=N]

Shapes are features x vectors x rows of a batch. MNIST is read from TFDS_DATA_DIR, as in training.
"""
_TURN = 0.02  # seconds
_TRUSTED = 1.1  # times the peak: what is faster shows that the peak was not reached
_EXAMPLES = 60_000  # of the set that batches are gathered from: as many as MNIST's


class Shape(NamedTuple):
    """Attributes:
    d: features.
    k: vectors.
    b: rows of a batch.
    """

    d: int
    k: int
    b: int

    @property
    def operations(self) -> int:
        """Returns the number of floating-point operations in a step, small terms left out.

        X V^T and Y^T X have 2 b k d each, Y^T Y 2 b k^2, the penalty 2 k^2 d.
        """
        return 4 * self.b * self.k * self.d + 2 * self.b * self.k**2 + 2 * self.k**2 * self.d

    @classmethod
    def parse(cls, text: str, flag: str) -> "Shape":
        """Reads a shape.

        Raises:
          ConfigError: of the flag: the text is no `DxKxB`, or has more vectors than features.
        """
        parts = text.split("x")
        if len(parts) != 3 or not all(part.isdecimal() and int(part) for part in parts):
            raise ConfigError(
                f"'{text}' is no shape; write features x vectors x batch, such as 1000x256x4096",
                f"--{flag}",
            )
        shape = cls(*map(int, parts))
        if shape.k > shape.d:
            raise ConfigError(
                f"{shape.k} vectors of only {shape.d} features; use at most {shape.d}", f"--{flag}"
            )
        return shape


def step_of(rule: str, shape: Shape) -> Callable[[], object]:
    """Returns a call that makes one step, with the papers' optimiser, on a batch on the device."""
    optimizer = optimizers.make("sgd", 1e-4, {"momentum": 0.9, "nesterov": True})
    rng = np.random.default_rng(0)
    rows, vectors = (jnp.asarray(rng.standard_normal((n, shape.d), np.float32)) for n in (shape.b, shape.k))
    vectors = normalized(vectors)
    state = vectors, eigengame.initial_optimizers(optimizer, vectors)
    program = jax.jit(functools.partial(step, eigengame.PCA_RULES[rule], optimizer), donate_argnums=(0, 1))

    def once():
        nonlocal state
        *state, _ = jax.block_until_ready(program(*state, rows))

    return once


def plain_products(shape: Shape) -> dict[str, Callable[[], object]]:
    """Returns calls that make the two large matrix products of a step, alone."""
    x, v = jnp.ones((shape.b, shape.d)), jnp.ones((shape.k, shape.d))
    y = x @ v.T
    return {
        "X V^T": compiled(lambda x, v: x @ v.T, x, v),
        "Y^T X": compiled(lambda y, x: y.T @ x, y, x),
    }


def batches_of(shape: Shape) -> dict[str, Callable[[], object]]:
    """Returns calls that make float rows on the device: from 8-bit images, and drawn from a spectrum."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (max(shape.b, _EXAMPLES), shape.d, 1, 1), np.uint8)
    sets = {
        "batch gathered, 8-bit images": data.Dataset(images, np.zeros(len(images), np.int32), 1),
        "batch drawn, linear spectrum": data.load("linear_spectrum", "train", kwargs={"d": shape.d}),
    }
    works = {}
    for name, dataset in sets.items():
        order = pipeline.Order(dataset.size, shape.b, seed=0, num_devices=1)
        source = pipeline.make(dataset, order, device_limit_gb=math.inf)
        feed = jax.tree.map(lambda x: jnp.asarray(x[0]), source.feed(0))
        works[name] = compiled(
            functools.partial(_rows, source.batch), jax.device_put(source.constants), feed
        )
    return works


def _rows(make_batch: Callable, constants: Any, feed: Any) -> jax.Array:
    """Returns the float rows of a batch."""
    return pipeline.to_rows(make_batch(constants, feed)["image"])


def print_steps(shape: Shape, rounds: int) -> None:
    """Prints what a step of each rule takes, beside the peak, the plain products and the batches."""
    squares = {f"{n} x {n} square product": (2 * n**3, work) for n, work in square_products().items()}
    products = {
        name: (2 * shape.b * shape.k * shape.d, work) for name, work in plain_products(shape).items()
    }
    steps = {f"step of {rule}": (shape.operations, step_of(rule, shape)) for rule in eigengame.PCA_RULES}
    batches = {name: (0, work) for name, work in batches_of(shape).items()}
    cases = squares | products | steps | batches
    seconds = in_turns({name: work for name, (_, work) in cases.items()}, rounds, _TURN)
    best = {name: min(each) for name, each in seconds.items()}
    peak = max(operations / best[name] for name, (operations, _) in squares.items())
    table = [[f"d={shape.d} k={shape.k} batch={shape.b}", "best ms", "median ms", "GFLOP/s", "% of peak"]]
    for name, (operations, _) in cases.items():
        rate = operations / best[name]
        times = [f"{1e3 * best[name]:.3f}", f"{1e3 * statistics.median(seconds[name]):.3f}"]
        table.append(
            [name, *times, *([f"{rate / 1e9:.1f}", f"{100 * rate / peak:.0f}"] if operations else ["", ""])]
        )
    print(f"\n{aligned(table)}", flush=True)
    if max(operations / best[name] for name, (operations, _) in cases.items()) > _TRUSTED * peak:
        print("More than the peak: the machine did other things meanwhile; measure again when it is idle.")


def print_growth(middle: Shape, rounds: int) -> None:
    """Prints what a step of mu takes as each of d, k and b doubles twice, and the exponents of a fit."""
    grown = {
        name: [middle._replace(**{name: factor * getattr(middle, name)}) for factor in (1, 2, 4)]
        for name in Shape._fields
    }
    shapes = dict.fromkeys(shape for several in grown.values() for shape in several)
    seconds = in_turns({shape: step_of("mu", shape) for shape in shapes}, rounds, _TURN)
    best = {shape: min(each) for shape, each in seconds.items()}
    table = [["step of mu, best ms at", "x 1", "x 2", "x 4", "exponent"]]
    for name, several in grown.items():
        times = [best[shape] for shape in several]
        exponent, _ = np.polyfit(np.log([getattr(shape, name) for shape in several]), np.log(times), 1)
        label = f"{name} = {getattr(middle, name)}"
        table.append([label, *(f"{1e3 * t:.3f}" for t in times), f"{exponent:.2f}"])
    print(f"\nHow cost grows from d={middle.d} k={middle.k} batch={middle.b}\n{aligned(table)}", flush=True)


def print_race(
    dataset: data.Dataset, k: int, batch: int, learning_rate: float, seeds: int, limit: float
) -> None:
    """Prints how soon k vectors are right on a data set, see `race`."""
    rows = pipeline.to_rows(dataset.image)
    n, d = rows.shape
    print(
        f"\nSeconds until all {k} vectors are within pi / 8, {dataset.name} {n:,} x {d:,}, batch {batch:,}"
    )
    for line in race(rows, k, batch, learning_rate, seeds, limit):
        print(f"{line[0]:40}", *(f"{cell:>28}" for cell in line[1:]), flush=True)


def data_set(name: str) -> data.Dataset:
    """Loads the training rows of that name; without one MNIST's if they are at hand, else the digits.

    Raises:
      ConfigError: the name is unknown, the set not at hand, or it has no components.
    """
    try:
        dataset = data.load(name or "mnist", "train")
        data.DataSpec.of(dataset).principal_components(0, largest_d=0)  # refuses what has no components
        return dataset
    except ConfigError as error:
        if name:
            raise ConfigError(error.message, "--data") from error
        print("MNIST is not at hand (TFDS_DATA_DIR names its folder): digits instead")
        return data.load("digits", "train")


def _define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    shapes, middle = ["1000x256x4096", "784x16x1024"], "512x128x1024"
    flags.DEFINE_list("shapes", shapes, "Of the steps that are timed.", flag_values=values)
    flags.DEFINE_string("middle", middle, "The shape from which d, k and b double.", flag_values=values)
    flags.DEFINE_integer("rounds", 15, "Turns of each piece of work.", lower_bound=1, flag_values=values)
    flags.DEFINE_string("data", "", "Whose components; default: mnist, else digits.", flag_values=values)
    flags.DEFINE_integer("vectors", 16, "How many components.", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("batch", 1024, "Rows of a batch of the data.", lower_bound=1, flag_values=values)
    flags.DEFINE_float(
        "learning_rate", 0.0, "On the data; 0: half of 1 / lambda_1.", lower_bound=0, flag_values=values
    )
    flags.DEFINE_integer("seeds", 3, "Runs of each method.", lower_bound=1, flag_values=values)
    flags.DEFINE_float("limit", 10.0, "Seconds after which a run ends.", lower_bound=0, flag_values=values)


def main(argv: list[str]) -> int:
    """Times EigenGame and returns the exit code."""
    with one_line_errors():
        values, overrides = parse(argv, _define, _USAGE)
        if overrides:
            raise ConfigError("there is no config to set; see --help", f"bench eigengame: '{overrides[0]}'")
        shapes = [Shape.parse(text, "shapes") for text in values.shapes]
        middle = Shape.parse(values.middle, "middle")
        dataset = data_set(values.data)
        batch = min(values.batch, dataset.size)
        if values.vectors > (most := min(batch, math.prod(dataset.image_shape))):
            raise ConfigError(
                f"{values.vectors} do not fit the data or the batch; use at most {most}", "--vectors"
            )
        cache.use_compilation_cache()
        print(
            f"{jax.devices()[0].device_kind}, float32, SGD with Nesterov momentum 0.9, random rows. "
            "Operations of a step:\n"
            "4 b k d + 2 b k^2 + 2 k^2 d, without those of oja's QR. Rates are of best times.\n"
            f"{os.cpu_count()} cores, load before the start {os.getloadavg()[0]:.1f}"
        )
        for shape in shapes:
            print_steps(shape, values.rounds)
        print_growth(middle, values.rounds)
        print_race(dataset, values.vectors, batch, values.learning_rate, values.seeds, values.limit)
    return 0
