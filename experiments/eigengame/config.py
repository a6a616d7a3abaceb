"""The `eigengame` section of the config; configs/eigengame/base.py says what each field means."""

from typing import Literal

import pydantic
from pydantic import NonNegativeInt, PositiveInt

from lib.config import Section
from lib.eigengame import RULES
from lib.schema import Optimizer, Run


class EigenGameSection(Section):
    rule: Literal[tuple(RULES)]
    k: PositiveInt
    mean: str
    riemannian: bool
    groups: NonNegativeInt
    exact_limit: NonNegativeInt
    optimizer: Optimizer

    @pydantic.model_validator(mode="after")
    def _projection_fits(self):
        if self.riemannian and not RULES[self.rule].on_sphere:
            known = " and ".join(name for name, rule in RULES.items() if rule.on_sphere)
            raise ValueError(
                f"config.eigengame.riemannian: only the players of {known} live on the sphere, not "
                f"those of '{self.rule}'; set it to False"
            )
        return self


class EigenGameConfig(Run):
    eigengame: EigenGameSection
