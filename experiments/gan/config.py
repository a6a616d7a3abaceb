"""The `gan` section of the config; configs/gan/base.py says what each field means."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field, PositiveInt

from lib.config import Section
from lib.games.drift import Clock, Terms
from lib.games.regularizers import Estimator
from lib.games.updates import RULES, Options, Regularizers, Weights
from lib.games.updates.state import active_terms
from lib.nets import spectral_norm
from lib.optimizers import factory_of
from lib.schema import Optimizer, Run

PLAYERS = ("disc", "gen")


class PerPlayer(Section):
    disc: Terms
    gen: Terms

    def as_coefficients(self) -> dict:
        return {x: getattr(self, x).as_coefficients() for x in PLAYERS}

    def first_nonzero(self) -> str | None:
        """`player.term` of the first coefficient that is not zero, None where all are."""
        active = active_terms(self.as_coefficients())
        return next((f"{x}.{term}" for x, terms in active.items() for term in terms), None)


class Optimizers(Section):
    disc: Optimizer
    gen: Optimizer


class GradRegularizes(Section):
    """Names as in the paper's public configs."""

    dd_coeffs_multiplier: PerPlayer
    explicit_non_dd_coeffs: PerPlayer
    rk_after_explicit_coeffs: PerPlayer
    estimator: Estimator
    drift_clock: Clock


class SGA(Section):
    weight: float
    align: bool


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
    updates: Literal[tuple(RULES)]
    num_disc_updates: PositiveInt
    num_gen_updates: PositiveInt
    first_player: Literal[PLAYERS]
    stage_batches: Literal["same", "fresh"]
    optimizers: Optimizers
    grad_regularizes: GradRegularizes
    sga: SGA
    allow_unsound: bool

    @pydantic.model_validator(mode="after")
    def _options_of_the_rule(self):
        """Options that the update rule would ignore are refused."""
        rule = RULES[self.updates]
        told = {"num_disc_updates": 1, "num_gen_updates": 1, "first_player": "disc"}
        for field, neutral in told.items():
            if not rule.in_turn and getattr(self, field) != neutral:
                raise ValueError(
                    f"config.gan.{field}: '{self.updates}' moves all players at once; "
                    f"set it to {neutral!r} or config.gan.updates to 'alternating'"
                )
        if self.stage_batches == "fresh" and rule.stages == 1:
            raise ValueError(
                f"config.gan.stage_batches: '{self.updates}' has no further stages to draw batches for; set it "
                f"to 'same' or config.gan.updates to one of {_rules(lambda r: r.stages > 1)}"
            )
        term = self.grad_regularizes.rk_after_explicit_coeffs.first_nonzero()
        if term and not rule.rk_after:
            raise ValueError(
                f"config.gan.grad_regularizes.rk_after_explicit_coeffs.{term}: '{self.updates}' is no Runge-Kutta "
                f"rule; use explicit_non_dd_coeffs or set config.gan.updates to one of "
                f"{_rules(lambda r: r.rk_after)}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _steps_ahead_are_known(self):
        """Rules that look ahead by plain gradient steps need plain SGD, or `allow_unsound`."""
        if RULES[self.updates].plain_ahead and not self.allow_unsound:
            for x in PLAYERS:
                if not self._is_plain_sgd(x):
                    raise ValueError(
                        f"config.gan.optimizers.{x}: '{self.updates}' looks ahead by plain gradient steps, and has "
                        "no theory with other optimisers than 'sgd' without momentum and clipping; use that, "
                        "'extragradient', or set config.gan.allow_unsound to True"
                    )
        return self

    def _is_plain_sgd(self, player: str) -> bool:
        section = getattr(self.optimizers, player)
        factory_of(section.name, f"config.gan.optimizers.{player}")  # an unknown name is told first
        return section.is_plain_sgd

    @pydantic.model_validator(mode="after")
    def _drift_is_known(self):
        """Multipliers of the drift need a theory of it, or `allow_unsound`."""
        term = self.grad_regularizes.dd_coeffs_multiplier.first_nonzero()
        if term is None or self.allow_unsound:
            return self
        reason = None
        if not RULES[self.updates].has_drift_theory:
            reason = f"updates '{self.updates}' (known: {_rules(lambda r: r.has_drift_theory)})"
        elif self.sga.weight:
            reason = "config.gan.sga"
        else:
            for x in PLAYERS:
                if not self._is_plain_sgd(x):
                    reason = f"config.gan.optimizers.{x} (known: 'sgd' without momentum and clipping)"
        if reason:
            raise ValueError(
                f"config.gan.grad_regularizes.dd_coeffs_multiplier.{term}: there is no theory of the drift of "
                f"{reason}; set the multipliers to 0, or config.gan.allow_unsound to True"
            )
        return self

    def as_regularizers(self) -> Regularizers:
        section = self.grad_regularizes
        weights = Weights(
            section.dd_coeffs_multiplier.as_coefficients(),
            section.explicit_non_dd_coeffs.as_coefficients(),
            section.rk_after_explicit_coeffs.as_coefficients(),
            self.sga.weight,
        )
        return Regularizers(weights, section.estimator, section.drift_clock, self.sga.align)

    def as_options(self) -> Options:
        order = PLAYERS if self.first_player == "disc" else PLAYERS[::-1]
        num_updates = {"disc": self.num_disc_updates, "gen": self.num_gen_updates}
        return Options(order, num_updates, fresh=self.stage_batches == "fresh")


def _rules(condition) -> str:
    return ", ".join(f"'{name}'" for name, rule in RULES.items() if condition(rule))


class GanConfig(Run):
    gan: GanSection
