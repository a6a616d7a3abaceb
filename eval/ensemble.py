"""The mean prediction of classifiers that differ in their seed alone: `./run.sh eval --ensemble=SWEEP`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd

from eval.distances import log_probabilities
from experiments import registry
from experiments.sweep.frames import SEED
from experiments.sweep.names import shorten, text
from experiments.sweep.sweep_folder import Sweep, SweepRun, read_sweep
from lib.data.pipeline import eval_batches, to_signed
from lib.errors import ConfigError
from lib.runtime.files import replacing
from lib.runtime.programs import Programs
from lib.runtime.progress import Progress
from lib.runtime.run_folder import RunFolder
from lib.tables import aligned

FILE = "ensemble.csv"


class Scores(NamedTuple):
    """Of an ensemble on held-out data, beside the means over its members.

    Attributes:
      accuracy, loss: of the mean of the members' probabilities.
      member_accuracy, member_loss: means of the members' own.
    """

    accuracy: float
    loss: float
    member_accuracy: float
    member_loss: float


def score(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """Scores the mean prediction p = 1/m sum_i softmax(logits_i); its loss is -mean log p[label].

    Lakshminarayanan et al., 'Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles',
    NeurIPS 2017, section 2.4.

    Args:
      logits: [m, n, classes] of m members.
      labels: [n].
    """
    log_p, mean = log_probabilities(logits)
    rows = np.arange(len(labels))
    return Scores(
        accuracy=float(np.mean(mean.argmax(-1) == labels)),
        loss=float(-mean[rows, labels].mean()),
        member_accuracy=float(np.mean(log_p.argmax(-1) == labels)),
        member_loss=float(-log_p[:, rows, labels].mean()),
    )


def settings(sweep: Sweep) -> dict[tuple, list[SweepRun]]:
    """Returns {values of all fields but the seed: finished runs}, of those with two or more."""
    found: dict[tuple, list[SweepRun]] = {}
    for run in sweep.runs:
        if run.status == "finished":
            key = tuple(run.overrides.get(field) for field in _fields(sweep))
            found.setdefault(key, []).append(run)
    return {key: runs for key, runs in found.items() if len(runs) > 1}


def score_sweep(folder: Path) -> pd.DataFrame:
    """Scores the ensembles of a sweep's folder; prints a table and writes ensemble.csv there.

    Raises:
      ConfigError: there is no sweep, no two finished runs differ in their seed alone, or they are no
        classifiers.
    """
    sweep = read_sweep(folder)
    ensembles = settings(sweep)
    if not ensembles:
        raise ConfigError("has no two finished runs that differ in their seed alone", "--ensemble")
    progress, rows = Progress(sum(map(len, ensembles.values())), unit="run", label="ensembles"), []
    for values, runs in ensembles.items():
        logits, labels = zip(*_members(folder, runs, progress), strict=True)
        found = score(np.stack(logits), labels[0])
        rows.append((*values, len(runs), *found))
    progress.close()
    frame = pd.DataFrame(rows, columns=[*_fields(sweep), "members", *Scores._fields])
    with replacing(folder / FILE) as temporary:
        frame.to_csv(temporary, index=False)
    print(_as_text(frame, sweep))
    print(f"\nresults  {folder / FILE}")
    return frame


def _fields(sweep: Sweep) -> list[str]:
    return [field for field in sweep.fields if field != SEED]


def _members(
    folder: Path, runs: list[SweepRun], progress: Progress
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (logits [n, classes], labels [n]) of each run, by one compiled function."""
    programs = registry.open_run(RunFolder(folder / runs[0].name), use_devices=jax.local_devices()[:1])
    if "logits" not in programs.experiment.outputs:
        raise ConfigError(f"'{programs.config.experiment}' has no predictions to average", "--ensemble")
    apply = jax.jit(programs.experiment.outputs["logits"])
    for run in runs:
        _, state = RunFolder(folder / run.name).restore(programs.abstract_state())
        yield _predictions(programs, apply, state)
        progress.advance(1)
        progress.show({})


def _predictions(programs: Programs, apply: Callable, state) -> tuple[np.ndarray, np.ndarray]:
    """Returns (logits [n, classes], labels [n]) on the held-out split."""
    state, logits, labels = jax.device_put(state, programs.devices[0]), [], []
    for batch in eval_batches(programs.data.held_out, programs.config.batch_size):
        real = batch["mask"] > 0
        logits.append(np.asarray(apply(state, to_signed(jax.numpy.asarray(batch["image"])))[0])[real])
        labels.append(batch["label"][real])
    return np.concatenate(logits), np.concatenate(labels)


def _as_text(frame: pd.DataFrame, sweep: Sweep) -> str:
    """Returns the table with the fields that vary."""
    short = shorten(_fields(sweep))
    shown = [field for field in _fields(sweep) if frame[field].nunique(dropna=False) > 1]
    head = [*(short[field] for field in shown), "members", *Scores._fields]
    rows = [[text(row[name]) for name in (*shown, "members")] for _, row in frame.iterrows()]
    numbers = [[f"{row[name]:.4f}" for name in Scores._fields] for _, row in frame.iterrows()]
    return aligned([head, *(a + b for a, b in zip(rows, numbers, strict=True))])
