"""The `cca` section of the config; configs/cca/base.py says what each field means."""

from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from lib.config import Section
from lib.errors import ConfigError
from lib.schema import OptimizerSection, Run

TWO_VIEWS = ("cca", "pls", "mlr")


class CcaSection(Section):
    problem: Literal["cca", "pls", "mlr", "inverse", "ica"]
    rule: Literal["gamma", "eckart_young"]
    maximize: bool
    estimator: Literal["unbiased", "biased"]
    k: PositiveInt
    split: NonNegativeInt
    epsilon: NonNegativeFloat
    gamma: Annotated[float, Field(gt=0.0, le=1.0)]
    optimizer: OptimizerSection

    @property
    def has_views(self) -> bool:
        """Tells whether the problem is one of two views."""
        return self.problem in TWO_VIEWS

    @pydantic.model_validator(mode="after")
    def _epsilon_fits(self):
        if self.problem in ("cca", "mlr") and not self.epsilon:
            raise ConfigError(
                "constant features have no correlation; use a number above 0, such as 0.001", "epsilon"
            )
        if self.problem == "pls" and self.epsilon:
            raise ConfigError("'pls' divides by no covariance; set it to 0.0", "epsilon")
        return self

    @pydantic.model_validator(mode="after")
    def _fields_are_the_problem_s(self):
        if self.split and not self.has_views:
            raise ConfigError(f"'{self.problem}' has no second view; set it to 0", "split")
        if not self.maximize and self.problem != "ica":
            raise ConfigError(
                f"'{self.problem}' has eigenvalues of both signs alike, or none below 0; set it to True",
                "maximize",
            )
        return self


_YOUNGER = {"estimator": "unbiased", "rule": "gamma", "maximize": True}


class CcaConfig(Run):
    cca: CcaSection

    @classmethod
    def upgraded(cls, config: dict[str, Any]) -> dict[str, Any]:
        """Returns a config with the younger fields."""
        return {**config, "cca": _YOUNGER | dict(config["cca"])}
