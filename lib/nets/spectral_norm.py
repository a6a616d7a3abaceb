"""Spectral normalisation of every weight: W / sigma(W), sigma the largest singular value.

Miyato, Kataoka, Koyama, Yoshida, 'Spectral Normalization for Generative Adversarial Networks', ICLR 2018.
A function of the parameters rather than a layer, so that one normalisation serves all passes of a step.
Kernels [.., f] are matrices [-1, f]; biases, scales and offsets are left alone.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

_EPS = 1e-12


def init(params: Any, key: jax.Array) -> dict[str, jax.Array]:
    """{path: a random unit vector u [f]} for every kernel of a pytree of parameters."""
    kernels = _kernels(params)
    keys = jax.random.split(key, len(kernels))
    return {
        path: _unit(jax.random.normal(k, kernels[path].shape[-1:]))
        for k, path in zip(keys, kernels, strict=True)
    }


def power_iteration(weights: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One step: v = unit(W u), u' = unit(W^T v), sigma = v^T W u'; no gradient through u', v.

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


def normalize(
    params: Any, vectors: Mapping[str, jax.Array], apply: bool = True
) -> tuple[Any, dict[str, jax.Array], dict[str, jax.Array]]:
    """Divides every kernel by its largest singular value, estimated by one power iteration.

    Args:
      params: pytree of parameters.
      vectors: of `init`, or of the step before.
      apply: False leaves the parameters as they are and only estimates the singular values.

    Returns:
      (parameters, vectors of this step, {"sigma_max": .., "sigma_min": ..}: the largest and the
      smallest of the layers' largest singular values, before normalisation).
    """
    sigmas, new_vectors = {}, {}
    for path, w in _kernels(params).items():
        w = w if apply else jax.lax.stop_gradient(w)
        sigmas[path], new_vectors[path] = power_iteration(w, vectors[path])
    if apply:
        params = jax.tree_util.tree_map_with_path(
            lambda path, w: w / _not_zero(sigmas[_name(path)]) if _name(path) in sigmas else w, params
        )
    values = jax.lax.stop_gradient(jnp.stack(list(sigmas.values())))
    return params, new_vectors, {"sigma_max": values.max(), "sigma_min": values.min()}


def _not_zero(sigma: jax.Array) -> jax.Array:
    return jnp.where(sigma == 0, 1, sigma)  # a kernel of zeros stays one


def _kernels(params: Any) -> dict[str, jax.Array]:
    """{path: weights} of the leaves that are matrices or convolution kernels."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return {_name(path): w for path, w in leaves if w.ndim > 1}


def _name(path) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _unit(x: jax.Array) -> jax.Array:
    return x / (jnp.linalg.norm(x) + _EPS)
