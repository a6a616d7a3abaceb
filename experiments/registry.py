"""Experiments by name: from a config to what can be trained and evaluated."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from configs import common
from experiments import catalogue, cca, classifier, dnc, eigengame, games, gan
from lib.config import apply_overrides, validate
from lib.data import NOTHING, DataSpec, Splits, epochs, load_splits
from lib.errors import ConfigError, lookup, one_line
from lib.experiment import Experiment
from lib.optimizers.registry import RENAMED
from lib.runtime import processes
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder, check_same_run, find, find_run
from lib.runtime.threshold import StopAt
from lib.runtime.trackers import module_of
from lib.runtime.words import check_words
from lib.schema import DatasetSection, Run


class Entry(NamedTuple):
    """An experiment's config class, what builds it, and whether it takes sentences instead of images."""

    config: type[Run]
    build: Callable[[Run, DataSpec], Experiment]
    takes_sentences: bool = False


EXPERIMENTS = {
    "cca": Entry(cca.CcaConfig, cca.build),
    "classifier": Entry(classifier.ClassifierConfig, classifier.build, takes_sentences=True),
    "dnc": Entry(dnc.DncConfig, dnc.build),
    "eigengame": Entry(eigengame.EigenGameConfig, eigengame.build),
    "games": Entry(games.GamesConfig, games.build),
    "gan": Entry(gan.GanConfig, gan.build),
}


# Fields that runs may be older than, with what they were before.
_YOUNGER = {
    "log_per_decade": 0,
    "log_seconds": 0.0,
    "checkpoint_seconds": 0.0,
    "stop_at": "",
    "trackers": (),
    "num_epochs": 0.0,
    "epoch_means": False,
}


def entry(config: ConfigDict) -> Entry:
    """Finds the experiment that a config names.

    Raises:
      ConfigError: it names none, or an unknown one.
    """
    name = config.get("experiment")
    if not isinstance(name, str):
        raise ConfigError("missing; known: " + ", ".join(EXPERIMENTS), "config.experiment")
    return lookup(EXPERIMENTS, name, "config.experiment")


def validated(config: ConfigDict) -> Run:
    """Turns a config of any experiment into its typed form.

    Raises:
      ConfigError: see lib.config.validate; also for an unknown experiment.
    """
    return validate(entry(config).config, config)


def own_config(folder: RunFolder) -> ConfigDict:
    """Reads the config that a run was trained with, in today's form, whatever the run's age.

    Raises:
      ConfigError: the folder has no config, or a damaged one.
    """
    config = folder.read_config()
    values = _YOUNGER | config.to_dict()
    if isinstance(values.get("eval"), dict):  # fields of the evaluator may be younger than the run
        values["eval"] = common.base().eval.to_dict() | _younger(values["eval"]) | values["eval"]
    try:
        return ConfigDict(_renamed(entry(config).config.upgraded(values)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"'{folder.config}' is damaged ({one_line(error)}); restore it from a copy"
        ) from error


def _renamed(values: dict) -> dict:
    """Returns a config whose optimisers' arguments have their names of today."""
    today = {key: _renamed(value) if isinstance(value, dict) else value for key, value in values.items()}
    names = RENAMED.get(today["name"], {}) if isinstance(today.get("name"), str) else {}
    if names and isinstance(today.get("kwargs"), dict):
        today["kwargs"] = {names.get(key, key): value for key, value in today["kwargs"].items()}
    return today


def _younger(section: dict) -> dict:
    """Returns fields of the evaluator whose usual value may not fit a run that is older than they are."""
    try:
        kept = min(section["kernel_samples"], section["num_samples"] // section["num_splits"])
        return {"neighbours": min(common.base().eval.neighbours, kept - 1)}
    except (KeyError, TypeError, ZeroDivisionError):  # the validation says what is wrong
        return {}


def check_inputs(raw: ConfigDict, config: Run, folder: RunFolder) -> None:
    """Checks that a run can begin with what its restore_path names, and the config of its scoring network.

    Args:
      raw: its config.
      config: the same, validated.
      folder: the run's; where it has checkpoints, those count.

    Raises:
      ConfigError: no such config; no such checkpoint, one of a run that this one cannot begin with, or one
        of this very run.
    """
    catalogue.classifier_file(config.eval.classifier)
    StopAt(config.stop_at)
    for tracker in config.trackers:
        module_of(tracker)
    config.check_training()
    field = "config.restore_path"
    if config.restore_path and not folder.newest_step():
        source, _ = find(config.restore_path)
        check_same_run(raw, own_config(source), source, field, _warm_start_fields(config))
    elif config.restore_path and find_run(config.restore_path) == folder.path:
        raise ConfigError(
            "names a checkpoint of this very run; to go on from it, name another --workdir", field
        )


def check_steps(config: Run, folder: RunFolder) -> None:
    """Checks that a run has steps left to make after the one that it begins with.

    Args:
      config: its config, with the number of its steps: that of `programs`.
      folder: the run's; where it has checkpoints, there is nothing to check.

    Raises:
      ConfigError: restore_path names a step that is as late as the run's last one.
    """
    if not config.restore_path or folder.newest_step():
        return
    source, at = find(config.restore_path)
    if (at := at or source.newest_step()) < config.num_steps:
        return
    if config.num_epochs:
        text = f"its {config.num_steps:,} steps must be more than {at:,}, where restore_path is already"
        raise ConfigError(text, "config.num_epochs")
    raise ConfigError(f"must be larger than {at:,}, where restore_path is already", "config.num_steps")


def _warm_start_fields(config: Run) -> tuple[str, ...]:
    """Returns the fields in which a run may differ from the one that it begins with, see warm_start.py."""
    of_games = (config.experiment, "seed", "batch_size", "steps_per_dispatch")
    return of_games if config.experiment in ("classifier", "gan") else ()


def build(config: Run, spec: DataSpec) -> Experiment:
    """Builds the experiment that a validated config names."""
    return EXPERIMENTS[config.experiment].build(config, spec)


def programs(
    config: Run,
    use_devices: list[jax.Device] | None = None,
    load: Callable[[DatasetSection], Splits] = load_splits,
) -> Programs:
    """Builds the experiment of a validated config on its data; on all devices unless some are named.

    Without data there is nothing to divide: such an experiment has one device. The number of steps in the
    programs' config is the one that num_epochs come to, where these are set: that is known with the data.

    Args:
      load: gives the data of a section of the config.

    Raises:
      ConfigError: anything of the config that does not fit the data or the devices.
    """
    if config.dataset.name == NOTHING:
        if processes.count() > 1:
            raise ConfigError(
                f"'{config.experiment}' reads no data to share out; leave it out", "--distributed"
            )
        use_devices = use_devices or jax.local_devices()[:1]
    data = load(config.dataset)
    if data.train.vocabulary and not EXPERIMENTS[config.experiment].takes_sentences:
        text = f"'{config.dataset.name}' has sentences, which '{config.experiment}' does not take"
        raise ConfigError(text, "config.dataset.name")
    config = epochs.resolved(config, data.train)
    return Programs(build(config, DataSpec.of(data.train)), config, data, use_devices)


def open_run(
    folder: RunFolder, overrides: Sequence[str] = (), use_devices: list[jax.Device] | None = None
) -> Programs:
    """Builds the programs of the run in a folder, from the config that it was trained with.

    Args:
      folder: the run's.
      overrides: `--config.a.b=VALUE`, of fields that may differ between training and evaluation.
      use_devices: see `programs`.

    Raises:
      ConfigError: the folder has no config, or the overrides make it another run's; also as `programs`.
    """
    own = own_config(folder)
    config = apply_overrides(own, overrides)
    check_same_run(config, own, folder, "--config")
    opened = programs(validated(config), use_devices)
    check_words(folder, opened.data.train.words_digest)
    return opened
