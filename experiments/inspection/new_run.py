"""What a config would do: its fields, data, parameters, the cost of a step, and what the run writes."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from experiments import registry
from experiments.inspection import parameters
from lib.config import flatten
from lib.data.dataset import Dataset, Rows
from lib.runtime import cache
from lib.runtime.devices import machine
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder
from lib.runtime.trainer import Trainer
from lib.schema import Run
from lib.tables import aligned, bytes_text


def describe(raw: ConfigDict, path: Path, steps: int) -> Iterator[str]:
    """Yields the parts of what there is to say of a run that is yet to be trained; writes nothing.

    Args:
      path: where it would write.
      steps: how many are timed; 0: nothing is compiled.

    Raises:
      ConfigError: as for its training.
    """
    cache.use_compilation_cache()
    config, folder = registry.validated(raw), RunFolder(path)
    registry.check_inputs(raw, config, folder)
    programs = registry.programs(config)
    trainer = Trainer(programs, folder)
    trainer.check()
    state = programs.abstract_state()
    raw.num_steps = programs.config.num_steps  # of num_epochs
    yield f"config\n{_fields(raw)}"
    yield f"\ndata\n{_data(programs)}"
    yield f"\nparameters\n{aligned(parameters.table(state))}"
    if steps:
        yield f"\na step\n{_step(trainer, steps)}"
    yield f"\nwhat the run writes\n{_writes(programs.config, state, folder)}"


def _fields(raw: ConfigDict) -> str:
    """Formats all fields of a config."""
    fields = flatten(raw.to_dict())
    width = max(map(len, fields))
    return "\n".join(f"  {name:{width}}  {value}" for name, value in fields.items())


def _data(programs: Programs) -> str:
    """Formats the splits: how many examples, of which shape and type, how large, and from where."""
    rows = [("", "examples", "shape", "type", "size", "from")]
    section = programs.config.dataset
    splits = {section.train_split: programs.data.train, section.eval_split: programs.data.held_out}
    for name, split in splits.items():
        shape = " x ".join(map(str, split.image_shape))
        image = split.image
        size = bytes_text(image.size * image.dtype.itemsize)
        rows.append((name, f"{split.size:,}", shape, str(image.dtype), size, _origin(split)))
    return aligned(rows)


def _origin(split: Dataset) -> str:
    """Returns the file that images are mapped from; built in where there is none."""
    array: Any = split.image
    while isinstance(array, Rows):
        array = array.array
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return str(array.filename) if array is not None else "memory"


def _step(trainer: Trainer, steps: int) -> str:
    """Compiles and times a step; formats its operations, bytes, memory and seconds."""
    programs = trainer.programs
    begun = time.perf_counter()
    program, arguments = trainer.one_step(programs.place(programs.init()), 0)
    compiled = program.lower(*arguments).compile()
    seconds = time.perf_counter() - begun
    state, times = arguments[0], []
    for step in range(steps):
        begun = time.perf_counter()
        state, metrics = compiled(state, *arguments[1:-1], np.uint32(step))
        jax.block_until_ready(metrics)
        times.append(time.perf_counter() - begun)
    costs, memory = compiled.cost_analysis() or {}, compiled.memory_analysis()
    here = machine(programs.devices)
    rows = {
        "devices": ", ".join(f"{name} {value}" for name, value in here.items()),
        "examples": f"{programs.config.batch_size * programs.experiment.batches_per_step:,}",
        "operations": f"{costs.get('flops', 0):,.0f} on each device, loops counted once",
        "bytes moved": bytes_text(costs["bytes accessed"]) if "bytes accessed" in costs else "unknown",
    }
    if memory is not None:
        arguments, temporary = memory.argument_size_in_bytes, memory.temp_size_in_bytes
        of = bytes_text(_memory(programs.devices[0]))
        parts = f"arguments {bytes_text(arguments)}, temporary {bytes_text(temporary)}"
        rows["memory"] = f"{bytes_text(arguments + temporary)} of {of}: {parts}"
    rows["compiled in"] = f"{seconds:.1f} s"
    rows[f"{steps} steps"] = ", ".join(f"{1e3 * t:.1f}" for t in times) + " ms, one in each call"
    return "\n".join(f"  {name:12}  {value}" for name, value in rows.items())


def _memory(device: jax.Device) -> float:
    """Returns the bytes of a device's memory; of a CPU, the machine's."""
    limit = (device.memory_stats() or {}).get("bytes_limit")
    return limit or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _writes(config: Run, state: Any, folder: RunFolder) -> str:
    """Formats where a run writes, and how much."""
    nbytes = sum(leaf.nbytes for leaf in parameters.leaves(state))
    saved = -(-config.num_steps // config.checkpoint_every)
    kept = min(saved, config.keep_checkpoints)
    newest = folder.newest_step()
    begins = f"goes on at step {newest:,}" if newest else "is new"
    records = config.num_steps // config.log_every
    held_out = config.num_steps // config.eval_every if config.eval_every else 0
    stay = f"the last {kept:,} stay: {bytes_text(kept * nbytes)}"
    rows = {
        "folder": f"{folder.path}, which {begins}",
        "steps": f"{config.num_steps:,}",
        "checkpoints": f"{saved:,} of {bytes_text(nbytes)}, of which {stay}",
        "metrics": f"{records:,} records of training, {held_out:,} of held-out data",
    }
    return "\n".join(f"  {name:12}  {value}" for name, value in rows.items())
