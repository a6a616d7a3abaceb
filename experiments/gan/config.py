"""The `gan` section of the config; configs/gan/base.py and configs/play.py say what each field means."""

from typing import Annotated

import pydantic
from pydantic import Field, PositiveInt

from lib.config import Section
from lib.games.config import Play, check_players
from lib.nets import spectral_norm
from lib.schema import Run

PLAYERS = ("disc", "gen")


class MLP(Section):
    num_layers: PositiveInt
    num_units: PositiveInt


class GanSection(Play):
    nets: str
    mlp: MLP
    num_latents: PositiveInt
    spectral_norm: spectral_norm.Method
    gradient_penalty: Annotated[float, Field(ge=0.0)]
    disc_loss: str
    gen_loss: str
    num_disc_updates: PositiveInt
    num_gen_updates: PositiveInt

    @pydantic.field_validator("optimizers")
    @classmethod
    def _of_both(cls, optimizers):
        check_players("config.gan.optimizers", optimizers, PLAYERS)
        return {x: optimizers[x] for x in PLAYERS}

    def turns(self) -> dict[str, int]:
        return {"num_disc_updates": self.num_disc_updates, "num_gen_updates": self.num_gen_updates}


class GanConfig(Run):
    gan: GanSection
