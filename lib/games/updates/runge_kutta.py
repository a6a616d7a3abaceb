"""Explicit Runge-Kutta steps of all players at once, each on its own learning rate.

Qin et al., 'Training Generative Adversarial Networks by Solving Ordinary Differential Equations', NeurIPS
2020.
"""

import dataclasses
from typing import Any

import jax
import optax

from lib.games.updates.dynamics import Dynamics, Step, add_terms, extrapolate, split
from lib.games.updates.rule import ANY, PLAIN_SGD, Options, UpdateRule
from lib.games.updates.state import GameState


@dataclasses.dataclass(frozen=True)
class RungeKutta(UpdateRule):
    """The joint field is evaluated at every stage, and its weighted mean goes through the optimisers.

    v_i = v(theta - h sum_j a_ij v_j),    theta <- theta - h (sum_i b_i v_i + rk_after terms at theta)

    where h is every player's own learning rate.

    Attributes:
      a, b: Butcher's tableau, a[i] of the stages before i.
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    rk_after = True

    @property
    def stages(self) -> int:
        """Returns the number of stages."""
        return len(self.b)

    @property
    def has_drift_theory(self) -> bool:
        """Tells whether the only stage is a simultaneous update."""
        return self.stages == 1

    @property
    def made_for(self) -> str:
        """Returns plain SGD where there are stages after the first: steps lead to them."""
        return PLAIN_SGD if self.stages > 1 else ANY

    def build(self, dynamics: Dynamics, options: Options) -> Step:
        """Builds the step.

        Stages see one batch and the same latents, or, if `options.fresh`, a batch and latents of their own:
        the batch then holds as many batches as there are stages, each of them as of `evaluate_all`. All
        stages read the net_state that the step began with; the first one, at theta, advances it.
        """
        n = self.stages

        def step(state: GameState, batch: Any, key: jax.Array):
            coefficients, rates = dynamics.coefficients(state), dynamics.rates(state)
            batches = split(batch, n) if options.fresh else [batch] * n
            keys = [jax.random.fold_in(key, i) if options.fresh else key for i in range(n)]
            stages = []
            for i, row in enumerate(self.a):
                at = state.params
                if any(row):
                    at = extrapolate(at, rates, weighted_sum(row, [stage.grads for stage in stages]))
                state_at = state._replace(params=at)
                stages.append(dynamics.evaluate_all(state_at, coefficients, batches[i], keys[i]))
            combined = weighted_sum(self.b, [stage.grads for stage in stages])
            after = dynamics.after_terms(state, batches[0], jax.random.fold_in(key, n))
            grads, metrics = add_terms(combined, after), dict(stages[0].metrics)
            if "gradient_norms" in dynamics.diagnostics:
                metrics |= {f"{x}_after_norm": optax.tree.norm(terms) for x, terms in after.items()}
            return dynamics.apply(state, stages[0]._replace(grads=grads, metrics=metrics))

        return step


EULER = RungeKutta(a=((),), b=(1.0,))  # simultaneous updates
HEUN = RungeKutta(a=((), (1.0,)), b=(1 / 2, 1 / 2))
CLASSICAL = RungeKutta(a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), b=(1 / 6, 1 / 3, 1 / 3, 1 / 6))


def weighted_sum(weights: tuple[float, ...], trees: list[Any]) -> Any:
    """Returns sum_i weights[i] trees[i], without the trees of weight zero."""
    used = [(w, tree) for w, tree in zip(weights, trees, strict=True) if w]
    return jax.tree.map(
        lambda *leaves: sum(w * leaf for (w, _), leaf in zip(used, leaves, strict=True)),
        *(tree for _, tree in used),
    )
