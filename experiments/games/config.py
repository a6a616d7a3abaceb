"""The `games` section of the config; configs/games/base.py and configs/play.py explain its fields."""

import math
import re
from typing import Any

import pydantic
from pydantic import PositiveFloat, PositiveInt

from lib.config import Section
from lib.data import NOTHING
from lib.errors import ConfigError, nearest, within
from lib.games import flows, toys
from lib.games.config import Play, check_players
from lib.optimizers.schedules import CONSTANT
from lib.schema import Run, Scalar

Kwarg = Scalar | tuple[Scalar | tuple[Scalar, ...], ...]


class Method(Play):
    num_updates: dict[str, PositiveInt]

    def turns(self) -> dict[str, int]:
        """Returns {field: the number of updates in a turn that it sets}, in the order of the players."""
        return {f"num_updates.{x}": self.num_updates[x] for x in self.players}

    @property
    def has_flows(self) -> bool:
        """Tells whether its updates have known flows: plain SGD, nothing added, one update in a turn.

        Raises:
          ConfigError: an unknown optimiser.
        """
        return (
            self.updates in flows.DRIFTS
            and not self.not_plain_sgd()
            and all(section.schedule.name == CONSTANT for section in self.optimizers.values())
            and set(self.turns().values()) == {1}
            and not self.adds_terms
        )

    @pydantic.field_validator("num_updates")
    @classmethod
    def _of_all_players(cls, num_updates, info):
        """Checks that every player has a number of updates."""
        if optimizers := info.data.get("optimizers"):
            check_players(num_updates, tuple(optimizers))
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
        """Returns the game.

        Raises:
          ConfigError: an unknown name or argument, or values that make no game; its field is relative to
            this section.
        """
        return toys.make(self.game, self.kwargs)

    @pydantic.model_validator(mode="after")
    def _fits_the_game(self):
        """Checks that starts, methods and flows are those of the game."""
        toy = self.as_toy()
        self._check_starts(toy)
        self._check_methods(toy)
        self._check_flows(toy)
        return self

    def _check_starts(self, toy: toys.Toy) -> None:
        """Checks that starts are points of the game within the limit."""
        if not self.starts:
            raise ConfigError("empty; name at least one", "starts")
        for i, start in enumerate(self.starts):
            if len(start) != toy.size:
                raise ConfigError(
                    f"{i}: {start} has {len(start)} numbers; points of '{self.game}' have {toy.size}",
                    "starts",
                )
            if math.hypot(*start) >= self.limit:
                raise ConfigError(
                    f"{i}: {start} is not within limit, {self.limit:g}, of 0; start nearer or raise it",
                    "starts",
                )

    def _check_methods(self, toy: toys.Toy) -> None:
        """Checks that methods have names, and that their players are the game's."""
        if not self.methods:
            raise ConfigError("empty; name at least one", "methods")
        for label, method in self.methods.items():
            if not re.fullmatch(r"\w+", label):
                raise ConfigError(
                    f"'{label}' names files and fields; use letters, digits and _ alone", "methods"
                )
            if method.player_batches != "shared":
                text = "toy games draw no batches; set it to 'shared'"
                raise ConfigError(text, f"methods.{label}.player_batches")
            with within(f"methods.{label}.optimizers"):
                check_players(method.optimizers, tuple(toy.sizes))

    def _check_flows(self, toy: toys.Toy) -> None:
        """Checks that flows are known, and are those of one method that has flows."""
        if not self.flows:
            if self.flows_of:
                raise ConfigError(
                    f"'{self.flows_of}' has no flows to draw; name some in flows, or set it to ''",
                    "flows_of",
                )
            return
        known = flows.names(len(toy.sizes))
        for name in self.flows:
            if name not in known:
                raise ConfigError(f"unknown name '{name}'{nearest(name, known)}", "flows")
        if self.flows_of not in self.methods:
            raise ConfigError(
                f"no method '{self.flows_of}'{nearest(self.flows_of, self.methods)}", "flows_of"
            )
        with within(f"methods.{self.flows_of}"):
            has_flows = self.methods[self.flows_of].has_flows
        if not has_flows:
            raise ConfigError(
                f"no flow is known of '{self.flows_of}'; name a method that is simultaneous or alternating "
                "plain SGD with nothing added to its gradients, or set flows to () and flows_of to ''",
                "flows_of",
            )


class GamesConfig(Run):
    games: GamesSection

    @classmethod
    def upgraded(cls, config: dict[str, Any]) -> dict[str, Any]:
        """Returns a config with the younger fields of its methods."""
        section = config["games"]
        younger = {"player_batches": "shared", "update_kwargs": {}}
        methods = {x: younger | method for x, method in section["methods"].items()}
        return {**config, "games": {**section, "methods": methods}}

    @pydantic.model_validator(mode="after")
    def _without_data(self):
        """Checks that no data set is named."""
        if self.dataset.name != NOTHING:
            raise ConfigError(f"games read no data; set it to '{NOTHING}'", "dataset.name")
        return self
