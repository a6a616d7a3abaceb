"""Programs that the runs of a group share: their data are loaded, and their steps compiled, once."""

import json

import jax

from experiments import registry
from experiments.sweep import structure
from lib.data import DataSpec, Splits, epochs, load_splits
from lib.errors import ConfigError
from lib.runtime.programs import Programs
from lib.schema import DatasetSection, Run

_EXPERIMENTS_KEPT = 4  # of runs that may differ in the seed alone


class LatestData:
    """Loads the data of one run after another, those of runs in a row that name the same once."""

    def __init__(self):
        self._section: DatasetSection | None = None
        self._splits: Splits | None = None

    def __call__(self, section: DatasetSection) -> Splits:
        """Returns the splits of a section, see `lib.data.load_splits`."""
        if section != self._section:
            self._section = self._splits = None
            self._splits = load_splits(section)
            self._section = section
        return self._splits


class SharedPrograms:
    """Makes the programs of one run after another, as `registry.programs` does of one."""

    def __init__(self, data: LatestData, use_devices: list[jax.Device] | None = None):
        """Loads nothing yet; the programs are on all devices unless some are named."""
        self._data, self._devices = data, use_devices
        self._first: Programs | None = None
        self._spec: DataSpec | None = None
        self._by_numbers: dict[str, Programs] = {}

    def __call__(self, config: Run) -> Programs:
        """Returns the programs of the next run of the group.

        Raises:
          ConfigError: see `registry.programs`; or the run is none of the group.
        """
        if self._first is None:
            self._first = registry.programs(config, self._devices, self._data)
            self._spec = DataSpec.of(self._first.data.train)
        config = epochs.resolved(config, self._first.data.train)
        if different := structure.differing(
            [structure.structure(config), structure.structure(self._first.config)]
        ):
            raise ConfigError("differs from the first run of its group", f"config.{different[0]}")
        numbers = json.dumps(structure.numbers(config), sort_keys=True)
        base = self._by_numbers.pop(numbers, None)
        if base is None:
            base = self._first
            if numbers != json.dumps(structure.numbers(base.config), sort_keys=True):
                base = base.of_another(config, registry.build(config, self._spec))
        self._by_numbers[numbers] = base
        if len(self._by_numbers) > _EXPERIMENTS_KEPT:
            del self._by_numbers[next(iter(self._by_numbers))]
        return base.of_another(config, base.experiment)
