"""A trained classifier as a pre-processing network: `./run.sh eval --activations=FILE.npy`.

The activations before its logits, of each image of a split, as the rows of a matrix: data for EigenGame and
its like, `--config.dataset.name=FILE.npy`.
"""

from pathlib import Path

import jax
import numpy as np

from experiments import registry
from lib.data import load_split
from lib.data.pipeline import eval_batches, to_signed
from lib.errors import ConfigError
from lib.runtime.files import asked_for
from lib.runtime.npy_files import write_npy
from lib.runtime.progress import Progress
from lib.runtime.run_folder import RunFolder

_BATCH = 500


def write(folder: RunFolder, step: int | None, file: Path, split: str, overrides: list[str]) -> None:
    """Writes the activations of a run's network, float32 [n, d], in the order of the split.

    Args:
      folder: of a classifier's run.
      step: of the checkpoint; None for the newest.
      file: that is written, .npy.
      split: of the run's data; empty: the one that it was trained on.
      overrides: of the run's own config.

    Raises:
      ConfigError: no such run or split, or one whose network has no activations; or the file cannot be
        written.
    """
    programs = registry.open_run(folder, overrides, jax.local_devices()[:1])
    if "logits" not in programs.experiment.outputs:
        kind = programs.config.experiment
        raise ConfigError(f"a run of '{kind}' has no logits; name a classifier's", "--activations")
    _, state = folder.restore(programs.abstract_state(), step)
    data = load_split(programs.config.dataset, split) if split else programs.data.train
    apply, placed = jax.jit(programs.experiment.outputs["logits"]), jax.device_put(state)
    rows, progress = [], Progress(data.size, unit="image", label="activations")
    for batch in eval_batches(data, _BATCH):
        _, features = apply(placed, to_signed(jax.numpy.asarray(batch["image"])))
        rows.append(np.asarray(features, np.float32)[batch["mask"] > 0])
        progress.advance(len(rows[-1]))
        progress.show({})
    progress.close()
    matrix = np.concatenate(rows)
    with asked_for(file, "--activations"):
        write_npy(file, matrix)
    print(f"{matrix.shape[0]:,} rows of {matrix.shape[1]:,} activations in {file}")
