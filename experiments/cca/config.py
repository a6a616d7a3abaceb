"""The `cca` section of the config; configs/cca/base.py says what each field means."""

from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from lib.config import Section
from lib.errors import ConfigError
from lib.schema import OptimizerSection, Run


class CcaSection(Section):
    problem: Literal["cca", "pls", "mlr"]
    estimator: Literal["unbiased", "biased"]
    k: PositiveInt
    split: NonNegativeInt
    epsilon: NonNegativeFloat
    gamma: Annotated[float, Field(gt=0.0, le=1.0)]
    optimizer: OptimizerSection

    @pydantic.model_validator(mode="after")
    def _epsilon_fits(self):
        if self.problem != "pls" and not self.epsilon:
            raise ConfigError(
                "constant features have no correlation; use a number above 0, such as 0.001", "epsilon"
            )
        if self.problem == "pls" and self.epsilon:
            raise ConfigError("'pls' divides by no covariance; set it to 0.0", "epsilon")
        return self


class CcaConfig(Run):
    cca: CcaSection

    @classmethod
    def upgraded(cls, config: dict[str, Any]) -> dict[str, Any]:
        """Returns a config with the younger fields."""
        return {**config, "cca": {"estimator": "unbiased"} | dict(config["cca"])}
