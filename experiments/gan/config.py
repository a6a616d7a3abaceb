"""The `gan` section of the config; configs/gan/base.py and configs/play.py say what each field means."""

from typing import Annotated, Any

import pydantic
from pydantic import Field, NonNegativeInt, PositiveInt

from experiments.gan.nets import NETS
from lib import losses
from lib.errors import lookup, within
from lib.games.config import Observed, Play, check_players
from lib.nets import spectral_norm
from lib.nets.options import choose
from lib.optimizers.registry import kind_of
from lib.schema import Named, Run

PLAYERS = ("disc", "gen")
Weight = Annotated[float, Field(ge=0.0)]


class GanSection(Play, Observed):
    nets: Named
    num_latents: PositiveInt
    microbatch: NonNegativeInt
    spectral_norm: spectral_norm.Method
    gradient_penalty: Weight
    r1_penalty: Weight
    r2_penalty: Weight
    disc_loss: str
    gen_loss: str
    num_disc_updates: PositiveInt
    num_gen_updates: PositiveInt

    @pydantic.field_validator("nets")
    @classmethod
    def _take_their_arguments(cls, nets: Named) -> Named:
        choose(NETS, nets)
        return nets

    @pydantic.field_validator("optimizers")
    @classmethod
    def _of_both(cls, optimizers):
        check_players(optimizers, PLAYERS)
        return {x: optimizers[x] for x in PLAYERS}

    def turns(self) -> dict[str, int]:
        return {"num_disc_updates": self.num_disc_updates, "num_gen_updates": self.num_gen_updates}


class GanConfig(Run):
    gan: GanSection

    @property
    def batches_per_step(self) -> int:
        """Returns how many batches a step of the update rule takes."""
        return self.gan.batches_per_step

    def check_training(self) -> None:
        """Checks that an optimiser that reads its loss takes none for negative by mistake."""
        gan = self.gan
        least = {"disc": losses.LEAST_DISC.get(gan.disc_loss), "gen": losses.LEAST_GEN.get(gan.gen_loss)}
        for x, optimizer in gan.optimizers.items():
            with within(f"config.gan.optimizers.{x}"):
                kind_of(optimizer.name).check_bound(optimizer.kwargs, least[x] or 0.0)

    @classmethod
    def upgraded(cls, config: dict[str, Any]) -> dict[str, Any]:
        """Returns a config with the networks' options beside their name, and with the younger fields."""
        section = dict(config["gan"])
        older, name = section.pop("mlp", {}), section["nets"]
        if isinstance(name, str):
            options = lookup(NETS, name, "config.gan.nets").options
            kwargs = options.without_defaults(older if name == "mlp" else {})
            section["nets"] = {"name": name, "kwargs": kwargs}
        younger = {"player_batches": "shared", "update_kwargs": {}, **Observed.nothing(PLAYERS)}
        younger |= {"r1_penalty": 0.0, "r2_penalty": 0.0, "microbatch": 0}
        return {**config, "gan": younger | section}
