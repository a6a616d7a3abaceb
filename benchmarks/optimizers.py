"""What choosing a learning rate costs: `./run.sh bench optimizers`, steps of an MLP in turns."""

import os
import statistics
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from absl import flags

from benchmarks.timing import in_turns
from configs import common
from experiments import catalogue, registry
from lib import tables
from lib.command_line import parse
from lib.config import load_file
from lib.data import Dataset, DataSpec
from lib.errors import ConfigError, one_line_errors
from lib.runtime import cache

_USAGE = """Times training steps of the MLP 784-1000-1000-10 with each optimiser, in turns in one process.

  ./run.sh bench optimizers [--batch_size=128] [--repeats=30]

Where PyTorch is installed, its steps of the same network take turns too.
"""
_SHAPE, _CLASSES = (28, 28, 1), 10


class Variant(NamedTuple):
    """An optimiser that is measured.

    Attributes:
      name: of the optimiser.
      kwargs: its keyword arguments.
      base: the row that its time is relative to; "" for none.
    """

    name: str
    kwargs: dict = {}
    base: str = ""


VARIANTS = {
    "SGD": Variant("sgd"),
    "SGD-HD": Variant("sgd_hd", {"beta": 1e-3}, "SGD"),
    "ALI-G": Variant("alig", {}, "SGD"),
    "SPS_max": Variant("sps_max", {}, "SGD"),
    "Polyak (optax)": Variant("polyak_sgd", {}, "SGD"),
    "BPGrad": Variant("bpgrad", {}, "SGD"),
    "DFW": Variant("dfw", {}, "SGD"),
    "L4Mom": Variant("l4_mom", {}, "SGD"),
    "SGD-HD, two levels": Variant("sgd_ultimate", {}, "SGD"),
    "SAM": Variant("sam", {}, "SGD"),
    "Schedule-free SGD": Variant("schedule_free_sgd", {}, "SGD"),
    "DAL-1": Variant("dal", {}, "SGD"),
    "SGDN": Variant("sgd", {"momentum": 0.9, "nesterov": True}),
    "SGDN-HD": Variant("sgdn_hd", {"beta": 1e-3}, "SGDN"),
    "SGD, complex momentum": Variant("sgd_complex", {}, "SGDN"),
    "ALI-G, momentum": Variant("alig", {"momentum": 0.9}, "SGDN"),
    "Adam": Variant("adam"),
    "Adam-HD": Variant("adam_hd", {"beta": 1e-7}, "Adam"),
    "Adam-HD, two levels": Variant("adam_ultimate", {}, "Adam"),
    "L4Adam": Variant("l4_adam", {}, "Adam"),
    "Prodigy": Variant("prodigy", {}, "Adam"),
    "Schedule-free AdamW": Variant("schedule_free_adamw", {}, "Adam"),
}


def step_of(variant: Variant, batch: dict[str, np.ndarray]) -> Callable[[], object]:
    """Returns a call that makes one training step of the classifier with an optimiser, and waits for it."""
    config = load_file(catalogue.CONFIGS / "classifier/mnist_mlp.py")
    config.batch_size = len(batch["label"])
    config.classifier.optimizer = common.optimizer(variant.name, 1e-3, **variant.kwargs)
    data = Dataset(batch["image"], batch["label"], _CLASSES)
    experiment = registry.build(registry.validated(config), DataSpec.of(data))
    key = jax.random.key(0)
    state = jax.jit(experiment.init)(key, batch)
    step = jax.jit(experiment.train_step, donate_argnums=0).lower(state, batch, key).compile()

    def once():
        nonlocal state
        state, _ = step(state, batch, key)
        jax.block_until_ready(state)

    return once


def torch_steps(batch: dict[str, np.ndarray]) -> dict[str, Callable[[], object]]:
    """Returns steps of the same network, batch and loss in PyTorch, where that is installed; else {}."""
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(os.cpu_count())
    rows = torch.tensor(batch["image"].reshape(len(batch["image"]), -1) / 255, dtype=torch.float32)
    labels = torch.tensor(batch["label"], dtype=torch.long)

    def step_with(make) -> Callable[[], object]:
        linear, relu = torch.nn.Linear, torch.nn.ReLU
        net = torch.nn.Sequential(
            linear(784, 1000), relu(), linear(1000, 1000), relu(), linear(1000, _CLASSES)
        )
        optimizer = make(net.parameters())

        def once():
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(rows), labels).backward()
            optimizer.step()

        return once

    return {
        "SGD (PyTorch)": step_with(lambda p: torch.optim.SGD(p, 1e-3)),
        "SGDN (PyTorch)": step_with(lambda p: torch.optim.SGD(p, 1e-3, momentum=0.9, nesterov=True)),
        "Adam (PyTorch)": step_with(lambda p: torch.optim.Adam(p, 1e-3)),
    }


def bench(batch_size: int, repeats: int) -> None:
    """Prints times of all steps, which take turns; ratios are of medians and of the best times."""
    generator = np.random.default_rng(0)
    batch = {
        "image": generator.integers(0, 256, (batch_size, *_SHAPE), np.uint8),
        "label": generator.integers(0, _CLASSES, batch_size, np.int32),
    }
    bases = {name: variant.base for name, variant in VARIANTS.items()}
    steps = {name: step_of(variant, batch) for name, variant in VARIANTS.items()}
    for name, step in torch_steps(batch).items():
        steps[name], bases[name] = step, name.split()[0]
    print(f"MLP 784-1000-1000-10, batch {batch_size}, {jax.devices()[0].device_kind}, {repeats} turns")
    if len(steps) == len(VARIANTS):
        print("PyTorch is not installed: not measured")
    seconds = in_turns(steps, repeats)
    rows = [("optimiser", "median ms", "best ms", "relative to", "median", "best")]
    for name, times in seconds.items():
        base = bases[name]
        row = [name, f"{1e3 * statistics.median(times):.2f}", f"{1e3 * min(times):.2f}", base]
        ratios = (
            [f"{of(times) / of(seconds[base]):.2f}" for of in (statistics.median, min)]
            if base
            else ["", ""]
        )
        rows.append((*row, *ratios))
    print(tables.aligned(rows))


def main(argv: list[str]) -> int:
    def define(values: flags.FlagValues) -> None:
        flags.DEFINE_integer("batch_size", 128, "Of a step.", lower_bound=1, flag_values=values)
        flags.DEFINE_integer("repeats", 30, "Turns of each optimiser.", lower_bound=1, flag_values=values)

    with one_line_errors():
        values, overrides = parse(argv, define, _USAGE)
        if overrides:
            raise ConfigError(f"'{overrides[0]}': it has no config to set", "bench optimizers")
        cache.use_compilation_cache()
        bench(values.batch_size, values.repeats)
    return 0
