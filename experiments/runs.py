"""From a validated config to a runner and the state it begins with; shared by the programs."""

import functools
from pathlib import Path

import jax
from ml_collections import ConfigDict

from configs import common
from experiments import registry
from lib import checkpoints, data, processes
from lib.config import ConfigError, differences, load_json, nearest
from lib.data import validation
from lib.experiment import State
from lib.runner import Runner
from lib.schema import MAY_DIFFER, Dataset, Run
from lib.workdir import Workdir, find

ROOT = Path(__file__).resolve().parent.parent


def default_workdir(config_file: str) -> Path:
    """runs/<config name>: the name is the file's path below configs/, without the ending."""
    path = Path(config_file).resolve().with_suffix("")
    configs = ROOT / "configs"
    return Path("runs") / (path.relative_to(configs) if path.is_relative_to(configs) else path.name)


def splits(section: Dataset) -> tuple[str, str]:
    """Names of the splits to train on and to evaluate on."""
    return section.train_split, section.eval_split


def load_split(section: Dataset, split: str) -> data.Dataset:
    """One split of the data of a config: `train_split` is without what is held out, which is `validation`.

    Raises:
      ConfigError: see `lib.data.load`; or so many examples cannot be held out, or none are.
    """
    load = functools.partial(data.load, section.name, data_dir=section.data_dir, kwargs=section.kwargs)
    n = section.validation_size
    if n and split in (section.train_split, validation.SPLIT):
        parts = validation.hold_out(load(section.train_split), n, section.validation_seed)
        return parts[split == validation.SPLIT]
    try:
        return load(split)
    except ConfigError as error:
        if split != validation.SPLIT:
            raise
        raise ConfigError(f"{error}; or hold some out: config.dataset.validation_size") from error


def make_runner(config: Run, workdir: Workdir, use_devices: list[jax.Device] | None = None) -> Runner:
    """The runner of a validated config, on all devices unless told otherwise; loads its data.

    Without data there is nothing to divide: such a run has one device.

    Raises:
      ConfigError: anything of the config that does not fit the data or the devices.
    """
    if config.dataset.name == data.NOTHING:
        if processes.count() > 1:
            raise ConfigError(
                f"--distributed: '{config.experiment}' reads no data to share out; leave it out"
            )
        use_devices = use_devices or jax.local_devices()[:1]
    train, held_out = (load_split(config.dataset, split) for split in splits(config.dataset))
    experiment = registry.build(config, data.DataSpec.of(train))
    return Runner(experiment, config, train, held_out, workdir, use_devices)


def check_classifier(name: str) -> Path:
    """The file of a classifier's config, as `config.eval.classifier` names it.

    Raises:
      ConfigError: there is no such config.
    """
    file = ROOT / "configs" / f"{name}.py"
    if not file.is_file():
        known = [f"classifier/{p.stem}" for p in sorted((ROOT / "configs/classifier").glob("[!_]*.py"))]
        known.remove("classifier/base")
        raise ConfigError(f"config.eval.classifier: no config '{name}'{nearest(name, known)}")
    return file


def own_config(workdir: Workdir) -> ConfigDict:
    """The config that a run was trained with, with the fields of its `eval` section that are younger than the run."""
    own = load_json(workdir.config)
    section = common.base().eval
    section.update(own.get("eval", {}))
    own.eval = section
    return own


def check_same_run(config, workdir: Workdir, flag: str) -> None:
    """Raises a ConfigError that names the fields in which a run's own config contradicts this one."""
    found = differences(config, load_json(workdir.config), MAY_DIFFER)
    if found:
        raise ConfigError(f"{flag}: the run in '{workdir.path}' has another config: {'; '.join(found)}")


def first_state(runner: Runner, restore_path: str = "") -> tuple[int, State]:
    """(step, state): of the newest checkpoint in the work directory, else of restore_path, else new.

    Raises:
      ConfigError: see `restored`.
    """
    if found := runner.restore():
        return found
    if restore_path:
        return restored(runner, *find(restore_path))
    return 0, runner.init()


def restored(runner: Runner, workdir: Workdir, step: int | None) -> tuple[int, State]:
    """(step, state) of one step of a run, or of its newest sound checkpoint.

    Raises:
      ConfigError: there is none, or the one that was named is missing, damaged or of another experiment.
    """
    known = checkpoints.steps(workdir.checkpoints)
    if not known or step not in (None, *known):
        which = "checkpoint" if step is None else f"checkpoint of step {step}"
        has = f"; it has {', '.join(map(str, known))}" if known else ""
        raise ConfigError(f"config.restore_path: no {which} in '{workdir.checkpoints}'{has}")
    target = runner.abstract_state()
    if step is None:
        found = checkpoints.restore_newest(workdir.checkpoints, target)
        if found is None:
            raise ConfigError(f"config.restore_path: the checkpoints in '{workdir.checkpoints}' are gone")
        return found
    try:
        return step, checkpoints.restore(workdir.checkpoints, step, target)
    except checkpoints.DamagedError as error:
        raise ConfigError(f"config.restore_path: step {step} is damaged: {error}") from error
