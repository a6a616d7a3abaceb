"""The `eigengame` section of the config; configs/eigengame/base.py says what each field means."""

from typing import Any, Literal

import pydantic
from pydantic import NonNegativeInt, PositiveInt

from lib.config import Section
from lib.eigengame import PCA_RULES
from lib.errors import ConfigError
from lib.schema import OptimizerSection, Run


class EigenGameSection(Section):
    rule: Literal[tuple(PCA_RULES)]
    k: PositiveInt
    maximize: bool
    mean: str
    riemannian: bool
    groups: NonNegativeInt
    exact_limit: NonNegativeInt
    optimizer: OptimizerSection

    @pydantic.model_validator(mode="after")
    def _projection_fits(self):
        if self.riemannian and not PCA_RULES[self.rule].on_sphere:
            known = " and ".join(name for name, rule in PCA_RULES.items() if rule.on_sphere)
            raise ConfigError(
                f"only the players of {known} live on the sphere, not those of '{self.rule}'; "
                "set it to False",
                "riemannian",
            )
        return self


class EigenGameConfig(Run):
    eigengame: EigenGameSection

    @classmethod
    def upgraded(cls, config: dict[str, Any]) -> dict[str, Any]:
        """Returns a config with the younger fields."""
        return {**config, "eigengame": {"maximize": True} | dict(config["eigengame"])}
