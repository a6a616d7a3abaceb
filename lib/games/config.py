"""How the players of a game move: the fields of a config that are the same for every game.

configs/play.py says what each field means. Texts of errors name the section that they are in as {here}.
"""

from collections.abc import Mapping
from typing import Literal

import pydantic

from lib import optimizers
from lib.config import Section
from lib.errors import nearest, within
from lib.games.drift import Clock, Coefficients, Terms
from lib.games.game import Game
from lib.games.regularizers import Estimator
from lib.games.updates import RULES, Options, Regularizers, Rule, Weights, make
from lib.games.updates.state import active_terms
from lib.schema import Optimizer

PerPlayer = dict[str, Terms]


def as_coefficients(terms: PerPlayer) -> dict[str, Coefficients]:
    return {x: t.as_coefficients() for x, t in terms.items()}


def first_nonzero(terms: PerPlayer) -> str | None:
    """`player.term` of the first coefficient that is not zero, None where all are."""
    active = active_terms(as_coefficients(terms))
    return next((f"{x}.{term}" for x, names in active.items() for term in names), None)


class GradRegularizes(Section):
    """Names as in the public configs of Rosca et al., ICML 2021."""

    dd_coeffs_multiplier: PerPlayer
    explicit_non_dd_coeffs: PerPlayer
    rk_after_explicit_coeffs: PerPlayer
    estimator: Estimator
    drift_clock: Clock


class SGA(Section):
    weight: float
    align: bool


class Play(Section):
    """Base of the sections that say how players move."""

    updates: Literal[tuple(RULES)]
    first_player: str
    stage_batches: Literal["same", "fresh"]
    optimizers: dict[str, Optimizer]
    grad_regularizes: GradRegularizes
    sga: SGA
    allow_unsound: bool

    @property
    def players(self) -> tuple[str, ...]:
        return tuple(self.optimizers)

    def turns(self) -> dict[str, int]:
        """{field: the number of updates in a turn that it sets}, in the order of the players."""
        raise NotImplementedError

    def as_regularizers(self) -> Regularizers:
        section = self.grad_regularizes
        weights = Weights(
            as_coefficients(section.dd_coeffs_multiplier),
            as_coefficients(section.explicit_non_dd_coeffs),
            as_coefficients(section.rk_after_explicit_coeffs),
            self.sga.weight,
        )
        return Regularizers(weights, section.estimator, section.drift_clock, self.sga.align)

    def as_options(self) -> Options:
        others = [x for x in self.players if x != self.first_player]
        num_updates = dict(zip(self.players, self.turns().values(), strict=True))
        return Options((self.first_player, *others), num_updates, fresh=self.stage_batches == "fresh")

    def as_optimizers(self, field: str) -> dict[str, optimizers.Optimizer]:
        """{player: its optimiser}; `field` is this section's name.

        Raises:
          ConfigError: an unknown optimiser or argument, or a value that an optimiser refuses.
        """
        built = {}
        for x, section in self.optimizers.items():
            with within(f"{field}.optimizers.{x}"):
                built[x] = optimizers.from_config(section)
        return built

    def as_rule(self, game: Game, field: str) -> Rule:
        """The update rule for a game of these players. `field`, raises: as `as_optimizers`."""
        return make(
            self.updates, game, self.as_optimizers(field), self.as_regularizers(), self.as_options()
        )

    @pydantic.model_validator(mode="after")
    def _of_one_game(self):
        """All that is told of each player is told of the same ones."""
        section = self.grad_regularizes
        told = {
            "dd_coeffs_multiplier": section.dd_coeffs_multiplier,
            "explicit_non_dd_coeffs": section.explicit_non_dd_coeffs,
            "rk_after_explicit_coeffs": section.rk_after_explicit_coeffs,
        }
        for name, terms in told.items():
            check_players(f"{{here}}.grad_regularizes.{name}", terms, self.players)
        if self.first_player not in self.players:
            raise ValueError(
                f"{{here}}.first_player: unknown name '{self.first_player}'"
                f"{nearest(self.first_player, self.players)}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _options_of_the_rule(self):
        """Options that the update rule would ignore are refused."""
        rule = RULES[self.updates]
        told = {field: (n, 1) for field, n in self.turns().items()}
        told["first_player"] = (self.first_player, self.players[0])
        for field, (value, neutral) in told.items():
            if not rule.in_turn and value != neutral:
                raise ValueError(
                    f"{{here}}.{field}: '{self.updates}' moves all players at once; "
                    f"set it to {neutral!r} or {{here}}.updates to 'alternating'"
                )
        if self.stage_batches == "fresh" and rule.stages == 1:
            raise ValueError(
                f"{{here}}.stage_batches: '{self.updates}' has no further stages to draw batches for; set it "
                f"to 'same' or {{here}}.updates to one of {_rules(lambda r: r.stages > 1)}"
            )
        term = first_nonzero(self.grad_regularizes.rk_after_explicit_coeffs)
        if term and not rule.rk_after:
            raise ValueError(
                f"{{here}}.grad_regularizes.rk_after_explicit_coeffs.{term}: '{self.updates}' is no Runge-Kutta "
                f"rule; use explicit_non_dd_coeffs or set {{here}}.updates to one of "
                f"{_rules(lambda r: r.rk_after)}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _steps_ahead_are_known(self):
        """Rules that look ahead by plain gradient steps need plain SGD, or `allow_unsound`."""
        if RULES[self.updates].plain_ahead and not self.allow_unsound:
            for x in self.players:
                if not self._is_plain_sgd(x):
                    raise ValueError(
                        f"{{here}}.optimizers.{x}: '{self.updates}' looks ahead by plain gradient steps, and has "
                        "no theory with other optimisers than 'sgd' without momentum and clipping; use that, "
                        "'extragradient', or set {here}.allow_unsound to True"
                    )
        return self

    def _is_plain_sgd(self, player: str) -> bool:
        section = self.optimizers[player]
        # An unknown name is told first.
        with within(f"{{here}}.optimizers.{player}"):
            optimizers.kind_of(section.name)
        return section.is_plain_sgd

    @pydantic.model_validator(mode="after")
    def _drift_is_known(self):
        """Multipliers of the drift need a theory of it, or `allow_unsound`."""
        term = first_nonzero(self.grad_regularizes.dd_coeffs_multiplier)
        if term is None or self.allow_unsound:
            return self
        reason = None
        if not RULES[self.updates].has_drift_theory:
            reason = f"updates '{self.updates}' (known: {_rules(lambda r: r.has_drift_theory)})"
        elif self.sga.weight:
            reason = "{here}.sga"
        else:
            for x in self.players:
                if not self._is_plain_sgd(x):
                    reason = f"{{here}}.optimizers.{x} (known: 'sgd' without momentum and clipping)"
        if reason:
            raise ValueError(
                f"{{here}}.grad_regularizes.dd_coeffs_multiplier.{term}: there is no theory of the drift of "
                f"{reason}; set the multipliers to 0, or {{here}}.allow_unsound to True"
            )
        return self


def check_players(field: str, told: Mapping[str, object], players: tuple[str, ...]) -> None:
    """Raises a ValueError unless something is told of every player, and of no other."""
    for x in told:
        if x not in players:
            raise ValueError(f"{field}.{x}: no such player{nearest(x, players)}")
    for x in players:
        if x not in told:
            raise ValueError(f"{field}.{x}: missing; every player needs one")


def _rules(condition) -> str:
    return ", ".join(f"'{name}'" for name, rule in RULES.items() if condition(rule))
