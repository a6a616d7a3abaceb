"""Explicit Runge-Kutta steps of all players at once, each on its own learning rate.

Qin et al., 'Training Generative Adversarial Networks by Solving Ordinary Differential Equations', NeurIPS 2020.
"""

from typing import Any, NamedTuple

import jax

from lib.games.updates.dynamics import Dynamics, Step, add_terms, ahead, split
from lib.games.updates.state import GameState


class Tableau(NamedTuple):
    """Butcher's: stage i is at theta - h sum_j a[i][j] v_j, and the step goes along sum_i b[i] v_i."""

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]


EULER = Tableau(a=((),), b=(1.0,))  # simultaneous updates
HEUN = Tableau(a=((), (1.0,)), b=(1 / 2, 1 / 2))
CLASSICAL = Tableau(a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), b=(1 / 6, 1 / 3, 1 / 3, 1 / 6))


def runge_kutta(dynamics: Dynamics, tableau: Tableau, fresh: bool) -> Step:
    """The joint field is evaluated at every stage, and its weighted mean goes through the optimisers.

    v_i = v(theta - h sum_j a_ij v_j),    theta <- theta - h (sum_i b_i v_i + rk_after terms at theta)

    where h is every player's own learning rate. Stages see one batch and the same latents, or, if `fresh`,
    a batch and latents of their own: `batch` then holds as many batches as there are stages. All stages read
    the net_state that the step began with; the first one, at theta, advances it.
    """
    num_stages = len(tableau.b)

    def step(state: GameState, batch: Any, key: jax.Array):
        coefficients, rates = dynamics.coefficients(state), dynamics.rates(state)
        batches = split(batch, num_stages) if fresh else [batch] * num_stages
        keys = [jax.random.fold_in(key, i) if fresh else key for i in range(num_stages)]
        looks = []
        for i, row in enumerate(tableau.a):
            at = state.params
            if any(row):
                at = ahead(at, rates, weighted_sum(row, [look.grads for look in looks]))
            looks.append(dynamics.look(state._replace(params=at), coefficients, batches[i], keys[i]))
        combined = weighted_sum(tableau.b, [look.grads for look in looks])
        after = dynamics.after(state, batches[0], jax.random.fold_in(key, num_stages))
        return dynamics.move(state, looks[0]._replace(grads=add_terms(combined, after)))

    return step


def weighted_sum(weights: tuple[float, ...], trees: list[Any]) -> Any:
    """sum_i weights[i] trees[i], without the trees of weight zero."""
    used = [(w, tree) for w, tree in zip(weights, trees, strict=True) if w]
    return jax.tree.map(
        lambda *leaves: sum(w * leaf for (w, _), leaf in zip(used, leaves, strict=True)),
        *(tree for _, tree in used),
    )
