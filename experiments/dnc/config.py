"""The `dnc` section of the config; configs/dnc/base.py says what each field means."""

from typing import Any

import pydantic
from pydantic import PositiveFloat, PositiveInt

from lib.data import NOTHING
from lib.errors import ConfigError
from lib.games.config import PLAYER, Alone, Observed
from lib.schema import Run


class DncSection(Alone):
    hidden: PositiveInt
    slots: PositiveInt
    width: PositiveInt
    heads: PositiveInt
    clip: PositiveFloat
    sequences: PositiveInt
    bits: PositiveInt
    min_length: PositiveInt
    max_length: PositiveInt
    min_repeats: PositiveInt
    max_repeats: PositiveInt

    @pydantic.model_validator(mode="after")
    def _ranges_are_in_order(self):
        for least, most in (("min_length", "max_length"), ("min_repeats", "max_repeats")):
            if getattr(self, least) > getattr(self, most):
                raise ConfigError(f"{getattr(self, least)} is above {most} {getattr(self, most)}", least)
        return self


class DncConfig(Run):
    dnc: DncSection

    @pydantic.model_validator(mode="after")
    def _makes_its_data(self):
        if self.dataset.name != NOTHING:
            reason = f"the sequences are made as they are needed; set it to '{NOTHING}'"
            raise ConfigError(reason, "dataset.name")
        return self

    @classmethod
    def upgraded(cls, config: dict[str, Any]) -> dict[str, Any]:
        """Returns a config with the younger fields."""
        return {**config, "dnc": Observed.nothing((PLAYER,)) | dict(config["dnc"])}
