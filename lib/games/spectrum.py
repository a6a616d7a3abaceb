"""Eigenvalues of a game's Jacobian, of its update rule's and of a player's Hessian.

With theta all players' parameters, v(theta) their joint gradient, regularisers included, and F the update rule,

    flow     theta' = -v(theta)          attracts near an equilibrium where every mu of dv/dtheta has Re mu > 0
    update   x_{t+1} = F(x_t)            attracts near a fixed point where every eigenvalue of dF/dx has modulus < 1

F's state x is augmented: besides theta it holds what else moves, the optimisers' momenta, moments and step sizes and
the rule's memory. Simultaneous gradient descent with one rate h has the eigenvalues 1 - h mu.

All of these are linear maps of flat vectors, by Jacobian-vector products, forward over reverse: no matrix is formed
unless `dense` is asked for one. A large map's extreme eigenvalues come from ARPACK's Arnoldi (Lanczos) iteration.

Jacobians of games: Mescheder, Nowozin, Geiger, 'The Numerics of GANs', NeurIPS 2017; of updates with momentum:
Gidel et al., 'Negative Momentum for Improved Game Dynamics', AISTATS 2019.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.sparse import linalg

from lib.games.updates import GameState, Rule

_REAL = {"LR": "LA", "SR": "SA"}  # how ARPACK calls the ends of a real spectrum
_ORDER = {"LM": lambda x: -np.abs(x), "LR": lambda x: -x.real, "SR": lambda x: x.real}


class Operator(NamedTuple):
    """A linear map A of flat vectors.

    Attributes:
      size: n.
      apply: v [n] -> A v [n], compiled.
      symmetric: whether A is known to be.
      dtype: of v.
    """

    size: int
    apply: Callable[[jax.Array], jax.Array]
    symmetric: bool
    dtype: Any


def game_jacobian(rule: Rule, state: GameState, batch: Any, key: jax.Array) -> Operator:
    """dv/dtheta of the joint gradient that the rule follows, its regularisers included.

    Vectors are all players' parameters, in the order of `ravel_pytree`. Of one player without regularisers it is
    the Hessian.

    Args:
      state: where; its learning rates set the regularisers' coefficients.
      batch: one batch, whatever the rule takes in a step.
    """
    dynamics = rule.dynamics
    symmetric = len(dynamics.game.players) == 1 and not any(jax.tree.leaves(dynamics.regularizers.weights))
    apply = functools.partial(_game_product, rule, state, batch, key)
    return _operator(apply, state.params, symmetric)


def hessian(rule: Rule, state: GameState, batch: Any, key: jax.Array, player: str) -> Operator:
    """d2 L_x / dtheta_x^2 of one player's own loss, without regularisers: a diagonal block of the game's Jacobian.

    Args:
      state, batch: as of `game_jacobian`.
    """
    apply = functools.partial(_hessian_product, rule, player, state, batch, key)
    return _operator(apply, state.params[player], symmetric=True)


def update_jacobian(rule: Rule, state: GameState, batch: Any, key: jax.Array) -> Operator:
    """dF/dx of one whole step of the rule, on the augmented state x.

    x: every player's parameters; the floating-point leaves of its optimiser's own state, such as momentum, Adam's
    moments, or a step size that moves; and the rule's memory. What is held: counts, the numbers of the config
    (rates, weights of regularisers), and net_state (batch statistics, singular vectors).

    Args:
      batch: what `rule.step` takes: `rule.batches_per_step` batches.
    """
    apply = functools.partial(_update_product, rule, state, batch, key)
    return _operator(apply, _moving(state), symmetric=False)


def where_differentiable(operator: Operator) -> tuple[Operator, int]:
    """(the operator with rows that are not finite replaced by the identity's, their number).

    For updates without a derivative in a few coordinates, which are then held: Adam's and its like where a gradient
    has always been 0, as a dead unit's has, since the root of the second moment has none at 0.

    Raises:
      FloatingPointError: half of the rows or more are not finite: then it is not that.
    """
    finite = np.isfinite(operator.apply(np.ones(operator.size, operator.dtype)))
    held = int(operator.size - finite.sum())
    if 2 * held >= operator.size:
        raise FloatingPointError("Jacobian-vector products are not finite")
    if held == 0:
        return operator, 0
    return operator._replace(apply=lambda v: jnp.where(finite, operator.apply(v), v)), held


def balanced(operator: Operator, rounds: int = 12, seed: int = 0) -> Operator:
    """D^-1 A D, with the eigenvalues of A, D diagonal and such that the rows of its absolute values have like sums.

    For operators whose coordinates are of very different sizes, as an augmented state with Adam's second moments:
    without it rounding, which is relative to the largest entries, moves the eigenvalues far. D is Perron's vector of
    |A|, by a power iteration with random signs.

    Chen, Demmel, 'Balancing sparse matrices for computing eigenvalues', Linear Algebra and its Applications 309,
    2000: of its Krylov methods the one that needs A's products alone.

    Args:
      rounds: products to find D.
      seed: of the signs.
    """
    rng, d = np.random.default_rng(seed), np.ones(operator.size)
    for _ in range(rounds):
        signs = rng.choice([-1.0, 1.0], operator.size)
        rows = np.abs(_product(operator, signs * d))
        d = np.where(rows > 0, np.sqrt(d * rows), d)
    scale = jnp.asarray(d, operator.dtype)
    return operator._replace(apply=lambda v: operator.apply(v * scale) / scale)


def _operator(apply: Callable, point: Any, symmetric: bool) -> Operator:
    flat = jax.eval_shape(lambda p: ravel_pytree(p)[0], point)
    return Operator(flat.size, apply, symmetric, flat.dtype)


def _directional(function: Callable, point: Any, v: jax.Array) -> jax.Array:
    """(d function / d point) v of a function between like pytrees, all flat."""
    flat, unravel = ravel_pytree(point)
    return jax.jvp(lambda p: ravel_pytree(function(unravel(p)))[0], (flat,), (v,))[1]


@functools.partial(jax.jit, static_argnums=0)
def _game_product(rule: Rule, state: GameState, batch: Any, key: jax.Array, v: jax.Array) -> jax.Array:
    dynamics = rule.dynamics
    coefficients = dynamics.coefficients(state)
    field = lambda p: dynamics.look(state._replace(params=p), coefficients, batch, key).grads
    return _directional(field, state.params, v)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _hessian_product(
    rule: Rule, player: str, state: GameState, batch: Any, key: jax.Array, v: jax.Array
) -> jax.Array:
    dynamics = rule.dynamics
    own_loss = dynamics.look(state, dynamics.coefficients(state), batch, key, [player]).own_loss[player]
    return _directional(jax.grad(own_loss), state.params[player], v)


@functools.partial(jax.jit, static_argnums=0)
def _update_product(rule: Rule, state: GameState, batch: Any, key: jax.Array, v: jax.Array) -> jax.Array:
    step = lambda moving: _moving(rule.step(_moved(state, moving), batch, key)[0])
    return _directional(step, _moving(state), v)


def _moving(state: GameState) -> Any:
    """The augmented state: (params, {player: floating-point leaves of its optimiser}, memory)."""
    return (
        state.params,
        {x: list(filter(_is_float, leaves)) for x, leaves in _inner(state).items()},
        state.memory,
    )


def _moved(state: GameState, moving: Any) -> GameState:
    """The state with its augmented part replaced."""
    params, floats, memory = moving
    opt_state = {}
    for x, leaves in _inner(state).items():
        new = iter(floats[x])
        leaves = [next(new) if _is_float(leaf) else leaf for leaf in leaves]
        inner = jax.tree.unflatten(jax.tree.structure(state.opt_state[x].inner_state), leaves)
        opt_state[x] = state.opt_state[x]._replace(inner_state=inner)
    return state._replace(params=params, opt_state=opt_state, memory=memory)


def _inner(state: GameState) -> dict[str, list]:
    """{player: leaves of what its optimiser carries from step to step, without its hyper-parameters}."""
    return {x: jax.tree.leaves(opt_state.inner_state) for x, opt_state in state.opt_state.items()}


def _is_float(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jnp.floating)


def dense(operator: Operator) -> np.ndarray:
    """The matrix [n, n], from n products: of small operators."""
    columns = map(operator.apply, np.eye(operator.size, dtype=operator.dtype))
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def eigenvalues(
    operator: Operator,
    k: int | None = None,
    which: str = "LM",
    *,
    tolerance: float = 0.0,
    restarts: int = 300,
    seed: int = 0,
) -> np.ndarray:
    """Eigenvalues, the first in the order of `which` first: float64 [k] of a symmetric operator, else complex128.

    Args:
      k: how many; None: all, from the dense matrix. With k < n - 1, from ARPACK without any matrix; it holds about
        max(2 k, 40) vectors of float64.
      which: LM: of the largest magnitude, LR: of the largest real part, SR: of the smallest. The first few of an
        end of a spectrum take few products, many in a dense cluster very many.
      tolerance: of ARPACK's residuals, relative to the eigenvalue; 0: the precision of the operator's dtype.
      restarts: after so many the iteration ends, whatever has converged.
      seed: of the iteration's first vector.

    Raises:
      FloatingPointError: a product is not finite: the parameters are not, or the update has no derivative there.
      ArpackNoConvergence: not one eigenvalue has converged. If some have, they are returned, and a warning says so.
    """
    if which not in _ORDER:
        raise ValueError(f"which: unknown '{which}'; known: {', '.join(_ORDER)}")
    if k is None or k >= operator.size - 1:
        found = _dense_eigenvalues(operator)
    else:
        found = _arpack(operator, k, which, tolerance, restarts, seed)
    return found[np.argsort(_ORDER[which](found), kind="stable")][:k]


def _dense_eigenvalues(operator: Operator) -> np.ndarray:
    matrix = _finite(dense(operator))
    if operator.symmetric:
        return np.linalg.eigvalsh(matrix)
    return np.linalg.eigvals(matrix).astype(complex)


def _arpack(
    operator: Operator, k: int, which: str, tolerance: float, restarts: int, seed: int
) -> np.ndarray:
    n = operator.size
    linear = linalg.LinearOperator((n, n), functools.partial(_product, operator), dtype=np.float64)
    solve = functools.partial(
        linalg.eigsh if operator.symmetric else linalg.eigs,
        linear,
        k,
        which=_REAL.get(which, which) if operator.symmetric else which,
        v0=np.random.default_rng(seed).standard_normal(n),
        ncv=min(n, max(2 * k + 1, 20 if operator.symmetric else 40)),
        tol=tolerance or float(jnp.finfo(operator.dtype).eps),
        maxiter=restarts,
        return_eigenvectors=False,
    )
    try:
        return solve()
    except linalg.ArpackNoConvergence as error:
        if not len(error.eigenvalues):
            raise
        warnings.warn(f"{len(error.eigenvalues)} of {k} eigenvalues ({which}) have converged", stacklevel=3)
        return error.eigenvalues


def _product(operator: Operator, v: np.ndarray) -> np.ndarray:
    """A v in float64, computed in the operator's dtype."""
    return _finite(np.asarray(operator.apply(jnp.asarray(v.ravel(), operator.dtype)), np.float64))


def _finite(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise FloatingPointError("a Jacobian-vector product is not finite")
    return values


def spectral_radius(values: np.ndarray) -> float:
    """max |eigenvalue|."""
    return float(np.abs(values).max())
