"""The runs of a sweep before they start: each with its folder, its overrides and its programs."""

import dataclasses
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from experiments import catalogue, registry
from lib import sweeps
from lib.config import apply_overrides, load_file
from lib.errors import ConfigError
from lib.runtime.records import read_scores
from lib.runtime.run_folder import RunFolder, check_same_run


@dataclasses.dataclass(frozen=True)
class Planned:
    """A run of a sweep.

    Attributes:
      folder: of the run.
      overrides: {field of the config: value}.
      num_steps: its last step.
      evaluate: whether it is scored when it is trained.
      programs: as of `experiments.sweep.job.Job`.
    """

    folder: RunFolder
    overrides: sweeps.Overrides
    num_steps: int
    evaluate: bool
    programs: tuple[tuple[str, ...], ...]

    @property
    def name(self) -> str:
        """Returns the name of its folder."""
        return self.folder.path.name

    def status(self) -> str:
        """Returns RunFolder.status, "new" if it never began, and "trained" if it is not scored yet."""
        written = self.folder.status()
        status = written.get("status", "new")
        if status == "finished" and written["step"] < self.num_steps:
            return "stopped"  # config.num_steps was raised
        return "trained" if status == "finished" and self.evaluate and not self._is_scored() else status

    def _is_scored(self) -> bool:
        return any(record["step"] == self.num_steps for record in read_scores(self.folder.metrics))


def plan(values: flags.FlagValues, overrides: list[str]) -> tuple[Path, list[Planned]]:
    """Returns (the sweep's folder, its runs) of a command line.

    Raises:
      ConfigError: a bad config or sweep file, or a run whose overrides do not fit; names the run.
    """
    if not values.sweep:
        raise ConfigError("name a sweep file; those in configs/sweeps are ready to use", "--sweep")
    base, runs = apply_overrides(load_file(values.config), overrides), sweeps.load(values.sweep)
    names = sweeps.names(runs)
    default = Path("runs/sweeps") / _config_name(values.config) / Path(values.sweep).stem
    folder = Path(values.workdir or default).absolute()
    planned = []
    for name, run in zip(names, runs, strict=True):
        try:
            planned.append(_planned(values, base, overrides, run, RunFolder(folder / name)))
        except ConfigError as error:
            raise ConfigError(f"run {name}: {error}", "--sweep") from error
    return folder, planned


def _config_name(file: str) -> str:
    return "_".join(catalogue.default_folder(file).parts[1:])


def _planned(
    values: flags.FlagValues,
    base: ConfigDict,
    overrides: list[str],
    run: sweeps.Overrides,
    folder: RunFolder,
) -> Planned:
    """Returns a run whose config is checked, alone and against what its folder holds."""
    swept = [f"--config.{field}={value}" for field, value in run.items()]
    raw = apply_overrides(base, swept)
    config = registry.validated(raw)
    catalogue.classifier_file(config.eval.classifier)
    if folder.config.exists():
        check_same_run(raw, registry.own_config(folder), folder, "--workdir")
    place = f"--workdir={folder.path}"
    train = ("experiments.main", f"--config={Path(values.config).absolute()}", place, *overrides, *swept)
    score = ("eval.main", f"--config.restore_path={folder.path}")
    programs = (train, score) if values.eval else (train,)
    return Planned(folder, run, config.num_steps, values.eval, programs)
