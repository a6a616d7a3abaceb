"""What is known of an optimiser besides its mathematics: its facts stand beside its code."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import optax

from lib.errors import ConfigError
from lib.optimizers.projection import Projection, identity, l2_ball


@dataclasses.dataclass(frozen=True)
class Kind:
    """An optimiser that a config may name.

    Attributes:
      factory: `(learning_rate, **kwargs) -> optax.GradientTransformation`.
      chooses_rate: whether it chooses its rate. Its state then keeps the rate of the last update as
        `step_size`, a scalar; before the first, the one that it starts from.
      scheduled: whether a schedule can govern its rate; not where learning_rate is only the first one.
      uncapped_by: arguments with which learning_rate no longer bounds its rate, so that a schedule has no
        effect.
      bounds_norm: whether it keeps the norm of all parameters at or below its argument `max_norm`, if there
        is one.
      bound: the name of its argument that the loss may never fall below, 0 by default; None: it has none.
      evaluated: `(opt_state, params) -> params`: what is evaluated in the place of the parameters that it
        moves; None: these.
      plain_without: arguments without which, or with them zero, an update is -learning_rate * gradient
        alone; None: it never is.
    """

    factory: Callable[..., optax.GradientTransformation]
    chooses_rate: bool = False
    scheduled: bool = True
    uncapped_by: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    bounds_norm: bool = False
    bound: str | None = None
    evaluated: Callable[[Any, Any], Any] | None = None
    plain_without: tuple[str, ...] | None = None

    def is_uncapped(self, kwargs: Mapping[str, Any]) -> bool:
        """Tells whether with these arguments learning_rate does not bound the rate."""
        return any(kwargs.get(name) == value for name, value in self.uncapped_by.items())

    def is_plain(self, kwargs: Mapping[str, Any]) -> bool:
        """Tells whether with these arguments an update is -learning_rate * gradient alone."""
        return self.plain_without is not None and not any(map(kwargs.get, self.plain_without))

    def check_bound(self, kwargs: Mapping[str, Any], least: float) -> None:
        """Checks that a loss which can be negative is measured from something below 0.

        Args:
          kwargs: the optimiser's arguments.
          least: what the loss cannot fall below by its definition, or minus infinity.

        Raises:
          ConfigError: it is measured from more than it can be, or from 0 or more where it can be anything;
            of the field `kwargs.<bound>`.
        """
        if self.bound is None or least >= 0:
            return
        bound, most = kwargs.get(self.bound, 0.0), least if least > -math.inf else 0.0
        if bound > least and (bound > most or not bound < 0):
            use = f"{least:g} or less" if least > -math.inf else "what it will not fall below"
            raise ConfigError(
                f"the loss may be negative, and is measured from {bound:g} here; set {use}",
                f"kwargs.{self.bound}",
            )

    def projection(self, kwargs: Mapping[str, Any]) -> Projection:
        """Returns the projection onto the parameters that these arguments allow; mostly the identity."""
        max_norm = kwargs.get("max_norm") if self.bounds_norm else None
        return identity if max_norm is None else l2_ball(max_norm)
