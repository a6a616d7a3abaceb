"""The `games` section of the config; configs/games/base.py and configs/play.py say what each field means."""

import math
import re

import pydantic
from pydantic import PositiveFloat, PositiveInt

from experiments.games import flows
from lib.config import Section
from lib.data import NOTHING
from lib.errors import nearest
from lib.games import toys
from lib.games.config import Play, check_players
from lib.schema import Run, Scalar

Kwarg = Scalar | tuple[Scalar | tuple[Scalar, ...], ...]


class Method(Play):
    num_updates: dict[str, PositiveInt]

    def turns(self) -> dict[str, int]:
        return {f"num_updates.{x}": self.num_updates[x] for x in self.players}

    @pydantic.field_validator("num_updates")
    @classmethod
    def _of_all(cls, num_updates, info):
        if optimizers := info.data.get("optimizers"):
            check_players("{here}", num_updates, tuple(optimizers))
        return num_updates


class GamesSection(Section):
    game: str
    kwargs: dict[str, Kwarg]
    starts: tuple[tuple[float, ...], ...]
    methods: dict[str, Method]
    flows: tuple[str, ...]
    flows_of: str
    limit: PositiveFloat

    def as_toy(self) -> toys.Toy:
        """The game.

        Raises:
          ConfigError: an unknown name or argument, or values that make no game.
        """
        return toys.make(self.game, self.kwargs, "config.games")

    @pydantic.model_validator(mode="after")
    def _fits_the_game(self):
        toy = self.as_toy()
        if not self.starts or not self.methods:
            empty = "methods" if self.starts else "starts"
            raise ValueError(f"config.games.{empty}: empty; name at least one")
        for i, start in enumerate(self.starts):
            if len(start) != toy.size:
                raise ValueError(
                    f"config.games.starts: {i}: {start} has {len(start)} numbers; points of '{self.game}' have "
                    f"{toy.size}"
                )
            if math.hypot(*start) >= self.limit:
                raise ValueError(
                    f"config.games.starts: {i}: {start} is not within config.games.limit, {self.limit:g}, of 0; start "
                    "nearer or raise it"
                )
        for label, method in self.methods.items():
            if not re.fullmatch(r"\w+", label):
                raise ValueError(
                    f"config.games.methods: '{label}' names files and fields; use letters, digits and _ alone"
                )
            check_players(f"config.games.methods.{label}.optimizers", method.optimizers, tuple(toy.sizes))
        self._check_flows(toy)
        return self

    def _check_flows(self, toy: toys.Toy) -> None:
        """They are those of one method, of a kind whose flows are known."""
        if not self.flows:
            if self.flows_of:
                raise ValueError(
                    f"config.games.flows_of: '{self.flows_of}' has no flows to draw; name some in flows, or set it to ''"
                )
            return
        known = flows.known(toy)
        for name in self.flows:
            if name not in known:
                raise ValueError(f"config.games.flows: unknown name '{name}'{nearest(name, known)}")
        if self.flows_of not in self.methods:
            raise ValueError(
                f"config.games.flows_of: no method '{self.flows_of}'{nearest(self.flows_of, self.methods)}"
            )
        if not flows.has_flows(self.methods[self.flows_of]):
            raise ValueError(
                f"config.games.flows_of: no flow is known of '{self.flows_of}'; name a method that is simultaneous or "
                "alternating plain SGD with nothing added to its gradients, or set flows to () and flows_of to ''"
            )


class GamesConfig(Run):
    games: GamesSection

    @pydantic.model_validator(mode="after")
    def _without_data(self):
        if self.dataset.name != NOTHING:
            raise ValueError(f"config.dataset.name: games read no data; set it to '{NOTHING}'")
        return self
