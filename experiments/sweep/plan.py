"""The runs of a sweep before they start: each with its folder, its overrides and its programs."""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from experiments import catalogue, registry
from experiments.arguments import check_length
from experiments.sweep import structure
from experiments.sweep.job import is_scored
from lib import sweeps
from lib.config import apply_overrides, load_file, split_overrides, to_plain
from lib.data import Dataset, epochs, load_splits, pipeline
from lib.errors import ConfigError
from lib.runtime.run_folder import RunFolder, check_same_run
from lib.schema import DatasetSection, Run


@dataclasses.dataclass(frozen=True)
class Planned:
    """A run of a sweep.

    Attributes:
      folder: of the run.
      overrides: {field of the config: value}.
      num_steps: its last step.
      stop_at: `config.stop_at`.
      evaluate: whether it is scored when it is trained.
      programs: as of `experiments.sweep.job.JobRun`.
      structure: of its config, see structure.py.
    """

    folder: RunFolder
    overrides: sweeps.Overrides
    num_steps: int
    stop_at: str
    evaluate: bool
    programs: tuple[tuple[str, ...], ...]
    structure: Mapping[str, str]

    @property
    def name(self) -> str:
        """Returns the name of its folder."""
        return self.folder.path.name

    def status(self) -> str:
        """Returns RunFolder.status, "new" if it never began, and "trained" if it is not scored yet."""
        written = self.folder.status()
        status = written.get("status", "new")
        reached = bool(self.stop_at) and written.get("reached") == self.stop_at
        if status == "finished" and written["step"] < self.num_steps and not reached:
            return "stopped"  # config.num_steps was raised
        if status == "finished" and self.evaluate and not is_scored(self.folder.path, written["step"]):
            return "trained"
        return status


def plan(
    values: flags.FlagValues, overrides: list[str], runs: sweeps.Sweep | None = None
) -> tuple[Path, list[Planned]]:
    """Returns (the sweep's folder, its runs) of a command line.

    Args:
      values: its flags.
      overrides: its fields of the config, for all runs.
      runs: by default those of the sweep file; else --sweep is their name alone.

    Raises:
      ConfigError: a bad config or sweep file, or a run whose overrides do not fit; names the run.
    """
    folder = sweep_folder_of(values)
    base = apply_overrides(load_file(values.config), overrides)
    runs = sweeps.load(values.sweep) if runs is None else runs
    planned: list[Planned] = []
    resolved: dict[str, str] = {}  # {config: name of its run}
    training_data = functools.cache(_training_data)  # loaded once for all runs on the same data
    for name, run in zip(sweeps.names(runs), runs, strict=True):
        try:
            raw = apply_overrides(base, _arguments(run))
            config = registry.validated(raw)
            check_length(raw, [*overrides, *_arguments(run)])
            if config.trackers and not values.no_groups:
                text = "a process tracks one run; give each its own with --no_groups"
                raise ConfigError(text, "config.trackers")
            if (text := json.dumps(to_plain(raw), sort_keys=True)) in resolved:
                raise ConfigError(f"has the same config as run {resolved[text]}; leave one of them out")
            resolved[text] = name
            if config.counts_epochs:  # else data are not read for runs that are finished
                config = epochs.resolved(config, training_data(config.dataset.model_dump_json()))
            planned.append(_planned(values, config, overrides, run, RunFolder(folder / name)))
            _check_inputs(raw, config, planned[-1], training_data)
        except ConfigError as error:
            raise ConfigError(f"run {name}: {error}", "--sweep") from error
    return folder, planned


def sweep_folder_of(values: flags.FlagValues) -> Path:
    """Returns the folder of the sweep that a command line names.

    Raises:
      ConfigError: it names no sweep, or no folder.
    """
    if not values.sweep:
        raise ConfigError("name a sweep file; those in configs/sweeps are ready to use", "--sweep")
    default = Path("runs/sweeps") / _config_name(values.config) / Path(values.sweep).stem
    folder = Path(values.workdir or default).absolute()
    if not str(folder).isprintable():  # it becomes a line of a Slurm script
        raise ConfigError(f"{str(folder)!r} is no name of a folder", "--workdir")
    return folder


def _arguments(run: sweeps.Overrides) -> list[str]:
    return split_overrides([f"--config.{field}={value}" for field, value in run.items()])[0]


def _check_inputs(raw: ConfigDict, config: Run, run: Planned, training_data: Callable) -> None:
    """Checks what a run reads, and that its config is that of the run in its folder.

    Args:
      raw: its config.
      config: the same, validated, with the number of its steps.
      run: it.
      training_data: `_training_data`.

    Raises:
      ConfigError: see `registry.check_inputs` and `check_steps`; or its data are not here, or fewer than a
        batch.
    """
    if run.folder.config.exists():
        check_same_run(raw, registry.own_config(run.folder), run.folder, "--workdir")
    if run.status() == "finished":
        return
    registry.check_inputs(raw, config, run.folder)
    registry.check_steps(config, run.folder)
    pipeline.check_batch_size(training_data(config.dataset.model_dump_json()), config.batch_size)


def _training_data(section: str) -> Dataset:
    """Loads the splits of a data section, as JSON, and returns the training split."""
    return load_splits(DatasetSection.model_validate_json(section)).train


def _config_name(file: str) -> str:
    return "_".join(catalogue.default_folder(file).parts[1:])


def _planned(
    values: flags.FlagValues, config: Run, overrides: list[str], run: sweeps.Overrides, folder: RunFolder
) -> Planned:
    """Returns a run whose config is checked."""
    place = f"--workdir={folder.path}"
    file = f"--config={Path(values.config).absolute()}"
    train = ("experiments.main", file, place, *overrides, *_arguments(run))
    score = ("eval.main", f"--config.restore_path={folder.path}")
    programs = (train, score) if values.eval else (train,)
    end = config.num_steps, config.stop_at
    return Planned(folder, run, *end, values.eval, programs, structure.structure(config))
