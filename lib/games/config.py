"""How the players of a game move: the fields of a config that are the same for every game.

configs/play.py says what each field means.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pydantic

from lib import optimizers
from lib.config import Section, validate
from lib.errors import ConfigError, nearest, within
from lib.games import diagnostics
from lib.games.averages import NO_AVERAGES, Averaging
from lib.games.diagnostics import Diagnostic
from lib.games.drift import Clock, Coefficients
from lib.games.game import Game
from lib.games.regularizers import Estimator, active_terms
from lib.games.updates import UPDATE_RULES, BoundRule, Options, Regularizers, Weights, make
from lib.games.updates.rule import ANY, NO_POINTS, PLAIN_SGD, SGD
from lib.schema import OptimizerSection, Scalar

PLAYER = "model"  # the player of games that have one
PerPlayer = dict[str, Coefficients]


class GradRegularizes(Section):
    """Names as in the public configs of Rosca et al., ICML 2021."""

    dd_coeffs_multiplier: PerPlayer
    explicit_non_dd_coeffs: PerPlayer
    rk_after_explicit_coeffs: PerPlayer
    estimator: Estimator
    drift_clock: Clock

    @property
    def coefficients(self) -> dict[str, PerPlayer]:
        """Returns {field: {player: Coefficients}} of the three fields of coefficients."""
        fields = ("dd_coeffs_multiplier", "explicit_non_dd_coeffs", "rk_after_explicit_coeffs")
        return {field: getattr(self, field) for field in fields}


class SGA(Section):
    weight: float
    align: bool


class Observed(Section):
    """Base of the sections that say what is kept and measured of a game while it trains.

    They have `players`, and `why_no_drift_theory()`: what there is no theory of the drift of, or None.
    """

    averages: Averaging
    diagnostics: tuple[Diagnostic, ...]

    @staticmethod
    def nothing(players: Sequence[str]) -> dict[str, Any]:
        """Returns the fields of runs that are older than they are: nothing is kept and measured."""
        return {"averages": Averaging(players=tuple(players)).model_dump(), "diagnostics": ()}

    @pydantic.model_validator(mode="after")
    def _is_of_its_players(self):
        """Checks that averages are of its players, and that diagnostics have what they are of."""
        with within("averages"):
            self.averages.check_players(self.players)
        with within("diagnostics"):
            diagnostics.check(self.diagnostics, self.players, self.why_no_drift_theory)
        return self


class Alone(Observed):
    """Base of the sections of games with one player, `model`, and its optimiser."""

    optimizer: OptimizerSection

    @property
    def players(self) -> tuple[str, ...]:
        """Returns the one player."""
        return (PLAYER,)

    def why_no_drift_theory(self) -> str | None:
        """Returns what there is no theory of the drift of; None where there is one."""
        return None if optimizers.is_plain_sgd(self.optimizer) else f"the optimiser '{self.optimizer.name}'"


class Play(Section):
    """Base of the sections that say how players move."""

    updates: Literal[tuple(UPDATE_RULES)]
    update_kwargs: dict[str, Scalar]
    first_player: str
    stage_batches: Literal["same", "fresh"]
    player_batches: Literal["shared", "separate"]
    optimizers: dict[str, OptimizerSection]
    grad_regularizes: GradRegularizes
    sga: SGA
    allow_unsound: bool

    @property
    def players(self) -> tuple[str, ...]:
        """Returns the names of the players, the order of their optimisers."""
        return tuple(self.optimizers)

    @property
    def adds_terms(self) -> bool:
        """Tells whether anything is added to the players' gradients."""
        return bool(self.sga.weight) or any(map(first_nonzero, self.grad_regularizes.coefficients.values()))

    def turns(self) -> dict[str, int]:
        """Returns {field: the number of updates in a turn that it sets}, in the order of the players."""
        raise NotImplementedError

    def as_options(self) -> Options:
        """Returns the options of the update rule."""
        others = [x for x in self.players if x != self.first_player]
        num_updates = dict(zip(self.players, self.turns().values(), strict=True))
        return Options(
            order=(self.first_player, *others),
            num_updates=num_updates,
            fresh=self.stage_batches == "fresh",
            separate=self.player_batches == "separate",
            arguments=validate(UPDATE_RULES[self.updates].arguments, self.update_kwargs, "update_kwargs"),
        )

    @property
    def batches_per_step(self) -> int:
        """Returns how many batches a step of the update rule takes."""
        return UPDATE_RULES[self.updates].batches_per_step(self.as_options())

    def as_rule(
        self, game: Game, averaging: Averaging = NO_AVERAGES, measures: Sequence[Diagnostic] = ()
    ) -> BoundRule:
        """Returns the update rule for a game of these players.

        Args:
          averaging: which averages of the parameters are kept.
          measures: which metrics of the game come with those of a step.

        Raises:
          ConfigError: an unknown optimiser or argument, or a value that an optimiser refuses; its field is
            relative to this section.
        """
        section = self.grad_regularizes
        weights = Weights(*section.coefficients.values(), self.sga.weight)
        regularizers = Regularizers(weights, section.estimator, section.drift_clock, self.sga.align)
        built = {}
        for x, optimizer in self.optimizers.items():
            with within(f"optimizers.{x}"):
                built[x] = optimizers.from_config(optimizer)
        return make(self.updates, game, built, regularizers, self.as_options(), averaging, measures)

    @pydantic.model_validator(mode="after")
    def _names_the_same_players(self):
        """Checks that every per-player field names the same players."""
        for field, coefficients in self.grad_regularizes.coefficients.items():
            with within(f"grad_regularizes.{field}"):
                check_players(coefficients, self.players)
        if self.first_player not in self.players:
            raise ConfigError(
                f"unknown name '{self.first_player}'{nearest(self.first_player, self.players)}",
                "first_player",
            )
        return self

    @pydantic.model_validator(mode="after")
    def _rule_reads_its_options(self):
        """Checks that no option is set that the update rule would ignore."""
        rule = UPDATE_RULES[self.updates]
        arguments = self.as_options().arguments  # refuses those that are not the rule's
        neutral = {field: (n, 1) for field, n in self.turns().items()}
        if not rule.has_leader:
            neutral["first_player"] = (self.first_player, self.players[0])
        for field, (value, default) in neutral.items():
            if not rule.takes_turns(arguments) and value != default:
                raise ConfigError(
                    f"'{self.updates}' moves all players at once; set it to {default!r} or updates to "
                    "'alternating'",
                    field,
                )
        if self.stage_batches == "fresh" and rule.stages == 1:
            raise ConfigError(
                f"'{self.updates}' has no further stages to draw batches for; set it to 'same' or "
                f"updates to one of {_names(name for name, r in UPDATE_RULES.items() if r.stages > 1)}",
                "stage_batches",
            )
        term = first_nonzero(self.grad_regularizes.rk_after_explicit_coeffs)
        if term and not rule.rk_after:
            raise ConfigError(
                f"'{self.updates}' is no Runge-Kutta rule; use explicit_non_dd_coeffs or set updates "
                f"to one of {_names(name for name, r in UPDATE_RULES.items() if r.rk_after)}",
                f"grad_regularizes.rk_after_explicit_coeffs.{term}",
            )
        return self

    @pydantic.model_validator(mode="after")
    def _rule_is_made_for_its_optimisers(self):
        """Checks that the rule is the paper's with these optimisers, or `allow_unsound`."""
        sound = UPDATE_RULES[self.updates].sound_with(self.as_options().arguments)
        if sound == ANY or self.allow_unsound:
            return self
        not_plain = self.not_plain_sgd()  # refuses unknown names
        others = {
            NO_POINTS: [x for x, section in self.optimizers.items() if not _keeps_no_points(section)],
            SGD: [x for x, section in self.optimizers.items() if not _is_sgd(section)],
            PLAIN_SGD: not_plain,
        }[sound]
        if others:
            raise ConfigError(
                f"'{self.updates}' is made for {sound}, and has no theory with others; use that, or set "
                "allow_unsound to True",
                f"optimizers.{others[0]}",
            )
        return self

    @pydantic.model_validator(mode="after")
    def _drift_has_a_theory(self):
        """Checks that multipliers of the drift have a theory of it, or `allow_unsound`."""
        term = first_nonzero(self.grad_regularizes.dd_coeffs_multiplier)
        if term and (reason := self.why_no_drift_theory()):
            raise ConfigError(
                f"there is no theory of the drift of {reason}; set the multipliers to 0, or allow_unsound "
                "to True",
                f"grad_regularizes.dd_coeffs_multiplier.{term}",
            )
        return self

    def why_no_drift_theory(self) -> str | None:
        """Returns what there is no theory of the drift of; None where there is one, or `allow_unsound`."""
        if self.allow_unsound:
            return None
        if not UPDATE_RULES[self.updates].has_drift_theory:
            known = _names(name for name, rule in UPDATE_RULES.items() if rule.has_drift_theory)
            return f"updates '{self.updates}' (known: {known})"
        if self.sga.weight:
            return "sga"
        others = self.not_plain_sgd()
        return f"optimizers.{others[-1]} (known: 'sgd' without momentum and clipping)" if others else None

    @pydantic.model_validator(mode="after")
    def _sga_has_one_batch(self):
        """Checks that the sign of an alignment is one of the joint gradient, on one batch."""
        if self.player_batches == "separate" and self.sga.weight and self.sga.align:
            raise ConfigError(
                "the sign of sga's alignment is one of the joint gradient; set it to 'shared', or "
                "sga.align to False",
                "player_batches",
            )
        return self

    def not_plain_sgd(self) -> list[str]:
        """Returns the players whose optimisers are not plain SGD; an unknown name is refused first."""
        plain = {}
        for x, section in self.optimizers.items():
            with within(f"optimizers.{x}"):
                plain[x] = optimizers.is_plain_sgd(section)
        return [x for x in plain if not plain[x]]


def _is_sgd(section: OptimizerSection) -> bool:
    """Tells whether an optimiser is SGD, with or without momentum, unclipped."""
    return section.name == "sgd" and not (section.clip_norm or section.clip_value)


def _keeps_no_points(section: OptimizerSection) -> bool:
    """Tells whether an optimiser's state holds no parameters."""
    return optimizers.kind_of(section.name).evaluated is None


def check_players(per_player: Mapping[str, object], players: tuple[str, ...]) -> None:
    """Checks that a field has a value for every player, and for no other.

    Raises:
      ConfigError: it has not; its field is the player.
    """
    for x in per_player:
        if x not in players:
            raise ConfigError(f"no such player{nearest(x, players)}", x)
    for x in players:
        if x not in per_player:
            raise ConfigError("missing; every player needs one", x)


def first_nonzero(coefficients: PerPlayer) -> str | None:
    """Returns `player.term` of the first coefficient that is not zero, None where all are."""
    active = active_terms(coefficients)
    return next((f"{x}.{term}" for x, terms in active.items() for term in terms), None)


def _names(names) -> str:
    """Returns names in quotes, with commas between."""
    return ", ".join(f"'{name}'" for name in names)
