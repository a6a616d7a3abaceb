"""From a validated config to a runner and the state it begins with; shared by the programs."""

from pathlib import Path

import jax

from experiments import registry
from lib import checkpoints
from lib.config import ConfigError, differences, load_json
from lib.data import DataSpec, load
from lib.runner import Runner
from lib.schema import MAY_DIFFER, Run
from lib.workdir import Workdir, find

ROOT = Path(__file__).resolve().parent.parent


def default_workdir(config_file: str) -> Path:
    """runs/<config name>: the name is the file's path below configs/, without the ending."""
    path = Path(config_file).resolve().with_suffix("")
    configs = ROOT / "configs"
    return Path("runs") / (path.relative_to(configs) if path.is_relative_to(configs) else path.name)


def make_runner(config: Run, workdir: Workdir, local_devices: list[jax.Device] | None = None) -> Runner:
    """The runner of a validated config, on all devices unless told otherwise; loads its data.

    Raises:
      ConfigError: anything of the config that does not fit the data or the devices.
    """
    data = config.dataset
    train, held_out = (load(data.name, s, data.data_dir) for s in (data.train_split, data.eval_split))
    experiment = registry.build(config, DataSpec.of(train))
    return Runner(experiment, config, train, held_out, workdir, local_devices)


def check_same_run(config, workdir: Workdir, flag: str) -> None:
    """Raises a ConfigError that names the fields in which a run's own config contradicts this one."""
    found = differences(config, load_json(workdir.config), MAY_DIFFER)
    if found:
        raise ConfigError(f"{flag}: the run in '{workdir.path}' has another config: {'; '.join(found)}")


def first_state(runner: Runner, restore_path: str):
    """(step, state): of the newest checkpoint in the work directory, else of restore_path, else new."""
    step, state = runner.restore()
    if step or not restore_path:
        return step, state
    source, at = find(restore_path)
    target = runner.abstract_state()
    if at is None:
        found = checkpoints.restore_newest(source.checkpoints, target)
        if found is None:
            raise ConfigError(f"config.restore_path: no checkpoint in '{restore_path}'")
        return found
    try:
        return at, checkpoints.restore(source.checkpoints, at, target)
    except checkpoints.DamagedError as error:
        raise ConfigError(f"config.restore_path: '{restore_path}' is damaged: {error}") from error
