"""The `gan` section of the config; configs/gan/base.py says what each field means."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field, PositiveInt

from lib.config import Section
from lib.games.drift import Terms
from lib.games.regularizers import Estimator
from lib.games.updates import Regularizers
from lib.nets import spectral_norm
from lib.schema import Optimizer, Run

PLAYERS = ("disc", "gen")


class PerPlayer(Section):
    disc: Terms
    gen: Terms


class Optimizers(Section):
    disc: Optimizer
    gen: Optimizer


class GradRegularizes(Section):
    """Names as in the paper's public configs."""

    dd_coeffs_multiplier: PerPlayer
    explicit_non_dd_coeffs: PerPlayer
    estimator: Estimator

    def as_regularizers(self) -> Regularizers:
        per_player = lambda section: {x: getattr(section, x).as_coefficients() for x in PLAYERS}
        return Regularizers(
            per_player(self.dd_coeffs_multiplier),
            per_player(self.explicit_non_dd_coeffs),
            self.estimator,
        )


class MLP(Section):
    num_layers: PositiveInt
    num_units: PositiveInt


class GanSection(Section):
    nets: str
    mlp: MLP
    num_latents: PositiveInt
    spectral_norm: spectral_norm.Method
    gradient_penalty: Annotated[float, Field(ge=0.0)]
    disc_loss: str
    gen_loss: str
    updates: Literal["simultaneous", "alternating"]
    num_disc_updates: PositiveInt
    num_gen_updates: PositiveInt
    optimizers: Optimizers
    grad_regularizes: GradRegularizes

    @pydantic.model_validator(mode="after")
    def _one_update_each(self):
        for field in ("num_disc_updates", "num_gen_updates"):
            if self.updates == "simultaneous" and getattr(self, field) != 1:
                raise ValueError(
                    f"config.gan.{field}: simultaneous updates move every player once; "
                    "set it to 1 or config.gan.updates to 'alternating'"
                )
        return self


class GanConfig(Run):
    gan: GanSection
