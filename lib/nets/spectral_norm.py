"""Spectral normalisation of every weight: W / sigma(W), sigma the largest singular value.

Miyato, Kataoka, Koyama, Yoshida, 'Spectral Normalization for Generative Adversarial Networks', ICLR 2018.
A function of the parameters rather than a layer, so that one normalisation serves all passes of a step.
Kernels [.., f] are matrices [-1, f]; biases, scales and offsets are left alone.

Two ways to sigma:
- `power_iteration`, the paper's: v^T W u with u, v from one step of power iteration and stopped. At
  converged vectors its gradient v u^T is right, but as a linear function of W it has no second derivatives,
  and Hessian-vector products through it miss those of sigma: by several percent on a small net. What drift
  terms regularise is then not quite the gradient norm of the loss that is trained.
- `exact`: the largest singular value itself, with all its derivatives; from an eigendecomposition of the
  smaller Gram matrix, which costs 20 to 50 times as much.
"""

from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

Method = Literal["none", "power_iteration", "exact"]
_EPS = 1e-12


def init(params: Any, key: jax.Array, method: Method = "power_iteration") -> dict[str, jax.Array]:
    """Returns {path: a random unit vector u [f]} for every kernel of the parameters; none for `exact`."""
    kernels = {} if method == "exact" else _kernels(params)
    keys = jax.random.split(key, len(kernels))
    return {
        path: _unit(jax.random.normal(k, kernels[path].shape[-1:]))
        for k, path in zip(keys, kernels, strict=True)
    }


def power_iteration(weights: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Makes one step of power iteration, with no gradient through its vectors.

    v = unit(W u),  u' = unit(W^T v),  sigma = v^T W u'

    Args:
      weights: kernel [.., f], as the matrix W [-1, f].
      u: [f], from the step before.

    Returns:
      sigma (scalar, differentiable in W) and u'.
    """
    matrix = weights.reshape(-1, weights.shape[-1])
    v = jax.lax.stop_gradient(_unit(matrix @ u))
    u = jax.lax.stop_gradient(jnp.where(v.any(), _unit(v @ matrix), u))
    return v @ matrix @ u, u


@jax.custom_jvp
def exact(weights: jax.Array) -> jax.Array:
    """Returns sigma, the largest singular value of kernel [.., f]; differentiable any number of times.

    d sigma = v^T dW u, where u and v move with W. There are no second derivatives where the two largest
    singular values are equal, and they grow with the inverse of the gap.
    """
    return _top(_tall(weights))[0]


@exact.defjvp
def _exact_jvp(primals, tangents):
    (weights,), (d_weights,) = primals, tangents
    sigma, v, u = _top(_tall(weights))
    return sigma, v @ _tall(d_weights) @ u


def _tall(weights: jax.Array) -> jax.Array:
    """Returns W [-1, f] or its transpose, whichever has fewer columns: its Gram matrix is the small one."""
    matrix = weights.reshape(-1, weights.shape[-1])
    return matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T


def _top(matrix: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns (sigma, v, u) of the largest singular value, W u = sigma v."""
    u = top_eigenvector(matrix.T @ matrix)
    image = matrix @ u
    sigma = _safe_norm(image)
    return sigma, image / _not_zero(sigma), u


@jax.custom_jvp
def top_eigenvector(gram: jax.Array) -> jax.Array:
    """Returns the unit eigenvector u [n] of the largest eigenvalue of a symmetric matrix [n, n].

    Its derivative solves, with lam = u^T G u,

        [lam I - G   u] [du]   [dG u]
        [u^T         0] [mu] = [  0 ]

    which is regular where lam is simple, whatever the other eigenvalues: differentiating a whole
    eigendecomposition would divide by the gaps of all of them.
    """
    return jnp.linalg.eigh(gram)[1][:, -1]


@top_eigenvector.defjvp
def _top_eigenvector_jvp(primals, tangents):
    (gram,), (d_gram,) = primals, tangents
    u = top_eigenvector(gram)
    eye = jnp.eye(len(gram), dtype=gram.dtype)
    shifted = _not_zero(u @ gram @ u) * eye - gram  # regular for a kernel of zeros too
    bordered = jnp.block([[shifted, u[:, None]], [u[None], jnp.zeros((1, 1), gram.dtype)]])
    right = jnp.append(d_gram @ u, jnp.zeros((), gram.dtype))
    return u, jnp.linalg.solve(bordered, right)[:-1]


def normalize(
    params: Any, vectors: Mapping[str, jax.Array], method: Method = "power_iteration"
) -> tuple[Any, dict[str, jax.Array], dict[str, jax.Array]]:
    """Divides every kernel by its largest singular value.

    Args:
      params: pytree of parameters.
      vectors: of `init` with the same method, or of the step before.
      method: how the singular values are computed; `none` leaves the parameters as they are and only
        estimates them, by power iteration.

    Returns:
      (parameters, vectors of this step, the layers' largest singular values before normalisation:
      {"sigma/LAYER": of each, "sigma_max": the largest, "sigma_min": the smallest of them}).
    """
    sigmas, new_vectors = {}, {}
    for path, w in _kernels(params).items():
        if method == "exact":
            sigmas[path] = exact(w)
        else:
            w = jax.lax.stop_gradient(w) if method == "none" else w
            sigmas[path], new_vectors[path] = power_iteration(w, vectors[path])
    if method != "none":
        params = jax.tree_util.tree_map_with_path(
            lambda path, w: w / _not_zero(sigmas[_name(path)]) if _name(path) in sigmas else w, params
        )
    values = jax.lax.stop_gradient(jnp.stack(list(sigmas.values())))
    metrics = {f"sigma/{path.removesuffix('/kernel')}": v for path, v in zip(sigmas, values, strict=True)}
    return params, new_vectors, {**metrics, "sigma_max": values.max(), "sigma_min": values.min()}


def _not_zero(sigma: jax.Array) -> jax.Array:
    return jnp.where(sigma == 0, 1, sigma)  # a kernel of zeros stays one


def _safe_norm(x: jax.Array) -> jax.Array:
    """Returns |x|, with a finite derivative at 0."""
    squared = jnp.sum(x**2)
    return jnp.where(squared == 0, 0, jnp.sqrt(_not_zero(squared)))


def _kernels(params: Any) -> dict[str, jax.Array]:
    """Returns {path: weights} of the leaves that are matrices or convolution kernels."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return {_name(path): w for path, w in leaves if w.ndim > 1}


def _name(path) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _unit(x: jax.Array) -> jax.Array:
    return x / (jnp.linalg.norm(x) + _EPS)
