"""A convolution for CPUs whose derivatives, of any order, are each in the form that is fastest there.

The value of a convolution y against an image y' is linear in each of three arrays,

    T(x, w, y') = sum_{b q v i j c f} y'[b, q, v, f] x[b, q s + i - above, v s + j - left, c] w[i, j, c, f]

and what one multiplies to each of them, the others held, are the three products

    "y"  the convolution             [b, q, v, f]  of  x, w
    "x"  its transpose               [b, p, u, c]  of  w, y'
    "w"  the gradient of its weights [i, j, c, f]  of  x, y'

They are closed under differentiation: the derivative of one of them is another. So a primitive of JAX
that knows the three gives every derivative in the form that this file chooses, where differentiating the
convolution would leave it to XLA, which is slow on CPUs at the transpose of a strided convolution and at
the gradient of its weights.

Strided images are cut into phases, the pixels of each s x s block side by side as channels: an image of
1/s of the sides and s^2 c channels, of which the convolution is one with stride 1 and a kernel of
m = ceil(k / s) rows and columns.

Legend: b batch, p rows and u columns of the large image x, q rows and v columns of the small one y,
i rows and j columns of the kernel, k its width, s stride, c channels of x, f of y.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Slot = Literal["x", "w", "y"]
# Patches of fewer numbers are gathered whole; of more, a product is made for each place of the kernel.
_WHOLE_PATCH = 256


class Geometry(NamedTuple):
    """Sizes of the large image and of the kernel, the stride, and whether padding is symmetric."""

    height: int
    width: int
    kernel: int
    stride: int
    symmetric: bool = False


def convolve(x: jax.Array, weights: jax.Array, stride: int, symmetric: bool = False) -> jax.Array:
    """Convolves: x [b, p, u, c], weights [i, j, c, f] to [b, q, v, f]; see `padding`."""
    geometry = Geometry(*x.shape[1:3], weights.shape[0], stride, symmetric)
    return _trilinear.bind(x, weights, product="y", geometry=geometry)


def convolve_transpose(y: jax.Array, weights: jax.Array, stride: int) -> jax.Array:
    """Applies a convolution's transpose: y [b, q, v, f], weights [i, j, f, c] to [b, p, u, c]."""
    height, width = stride * y.shape[1], stride * y.shape[2]
    geometry = Geometry(height, width, weights.shape[0], stride)
    return _trilinear.bind(weights.swapaxes(2, 3), y, product="x", geometry=geometry)


def xla_conv(x: jax.Array, weights: jax.Array, stride: int, symmetric: bool = False) -> jax.Array:
    """Convolves by XLA: x [b, p, u, c], weights [i, j, c, f] to [b, q, v, f]; see `padding`."""
    pads = [padding(size, weights.shape[0], stride, symmetric)[:2] for size in x.shape[1:3]]
    return jax.lax.conv_general_dilated(
        x, weights, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def padding(size: int, kernel: int, stride: int, symmetric: bool = False) -> tuple[int, int, int]:
    """Returns (zeros before, zeros after, size of the output) of 'SAME' padding, or of PyTorch's.

    Args:
      symmetric: (kernel - 1) / 2 zeros before and after, as PyTorch's networks pad for their odd kernels.
        'SAME' has fewer before where the stride is larger than 1 and divides the size. Zeros after the
        last window are left out, as they have no effect.
    """
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    before = (kernel - 1) // 2 if symmetric else total // 2
    return before, max(total - before, 0), out


# The three products.


def _y(x: jax.Array, weights: jax.Array, geometry: Geometry) -> jax.Array:
    """Returns the convolution, by XLA."""
    return xla_conv(x, weights, geometry.stride, geometry.symmetric)


def _x(weights: jax.Array, y: jax.Array, geometry: Geometry) -> jax.Array:
    """Returns the transpose of the convolution.

    With a stride: y w, of every pixel of y a block of m x m pixels of phases, and the sum of the blocks
    where they overlap.
    """
    b, q, v, f = y.shape
    c, s = weights.shape[2], geometry.stride
    if s == 1:
        image = jax.ShapeDtypeStruct((b, geometry.height, geometry.width, c), y.dtype)
        return jax.linear_transpose(lambda x: _y(x, weights, geometry), image)(y)[0]
    m = -(-geometry.kernel // s)
    blocks = y.reshape(-1, f) @ _by_phases(weights, s).reshape(-1, f).T
    blocks = blocks.reshape(b, q, v, m, m, s * s * c)
    phases = sum(
        jnp.pad(blocks[:, :, :, i, j], ((0, 0), (i, m - 1 - i), (j, m - 1 - j), (0, 0)))
        for i in range(m)
        for j in range(m)
    )
    return _from_phases(phases, geometry)


def _w(x: jax.Array, y: jax.Array, geometry: Geometry) -> jax.Array:
    """Returns the gradient of the weights: products of x's phases with y, summed over all pixels."""
    k, s = geometry.kernel, geometry.stride
    c, f = x.shape[-1], y.shape[-1]
    if k % s:  # phases would have zeros in them
        shape = jax.ShapeDtypeStruct((k, k, c, f), x.dtype)
        return jax.linear_transpose(lambda weights: _y(x, weights, geometry), shape)(y)[0]
    if s == 1 and f < c and k % 2:  # the image with fewer channels makes the smaller patches
        return _w(y, x, geometry)[::-1, ::-1].swapaxes(2, 3)
    _, q, v, _ = y.shape
    m, phases = k // s, _to_phases(x, geometry)
    pixels = [phases[:, i : i + q, j : j + v].reshape(-1, s * s * c) for i in range(m) for j in range(m)]
    if m * m * s * s * c <= _WHOLE_PATCH:
        pixels = [jnp.concatenate(pixels, -1)]
    y = y.reshape(-1, f)
    products = jnp.concatenate([y.T @ at for at in pixels], -1).T
    return products.reshape(m, m, s, s, c, f).swapaxes(1, 2).reshape(k, k, c, f)


# Phases.


def _to_phases(x: jax.Array, geometry: Geometry) -> jax.Array:
    """Cuts [b, p, u, c] and the zeros around it into phases, [b, q + m - 1, v + m - 1, s s c]."""
    s = geometry.stride
    (above, _, rows), (left, _, columns) = _padded(geometry)
    b, p, u, c = x.shape
    zeros = ((0, 0, 0), (above, s * rows - p - above, 0), (left, s * columns - u - left, 0), (0, 0, 0))
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), zeros)
    return x.reshape(b, rows, s, columns, s, c).swapaxes(2, 3).reshape(b, rows, columns, s * s * c)


def _from_phases(phases: jax.Array, geometry: Geometry) -> jax.Array:
    """Puts phases together again, without the zeros around the image: the transpose of `_to_phases`."""
    b, rows, columns, channels = phases.shape
    s = geometry.stride
    c = channels // (s * s)
    (above, _, _), (left, _, _) = _padded(geometry)
    x = phases.reshape(b, rows, columns, s, s, c).swapaxes(2, 3).reshape(b, s * rows, s * columns, c)
    below, right = s * rows - geometry.height - above, s * columns - geometry.width - left
    return jax.lax.pad(
        x, jnp.zeros((), x.dtype), ((0, 0, 0), (-above, -below, 0), (-left, -right, 0), (0, 0, 0))
    )


def _padded(geometry: Geometry) -> list[tuple[int, int, int]]:
    """Returns, of rows and columns, (zeros before, zeros after, how many blocks of s pixels there are)."""
    more = -(-geometry.kernel // geometry.stride) - 1
    sizes = (geometry.height, geometry.width)
    pads = [padding(size, geometry.kernel, geometry.stride, geometry.symmetric) for size in sizes]
    return [(before, after, out + more) for before, after, out in pads]


def _by_phases(weights: jax.Array, s: int) -> jax.Array:
    """Returns weights [i, j, c, f] as those of phases, [m, m, s s c, f], zeros after the last rows."""
    k, _, c, f = weights.shape
    m = -(-k // s)
    more = m * s - k
    weights = jnp.pad(weights, ((0, more), (0, more), (0, 0), (0, 0)))
    return weights.reshape(m, s, m, s, c, f).swapaxes(1, 2).reshape(m, m, s * s * c, f)


# The primitive.

_PRODUCTS = {"y": _y, "x": _x, "w": _w}
# The arrays of each product, in their order.
_FACTORS: dict[Slot, tuple[Slot, Slot]] = {"y": ("x", "w"), "x": ("w", "y"), "w": ("x", "y")}


def _product(*factors: jax.Array, product: Slot, geometry: Geometry) -> jax.Array:
    """Returns a product of its two factors."""
    return _PRODUCTS[product](*factors, geometry)


def _shape(*factors, product: Slot, geometry: Geometry):
    """Returns the abstract value of a product."""
    shape = jax.eval_shape(functools.partial(_product, product=product, geometry=geometry), *factors)
    return factors[0].update(shape=shape.shape, dtype=shape.dtype, weak_type=False)


def _transpose(which: int, cotangent, *factors, product: Slot, geometry: Geometry):
    """Returns the cotangent of factor `which`: the product of the other factor and the cotangent."""
    slot, other = _FACTORS[product][which], _FACTORS[product][1 - which]
    known = {product: cotangent, other: factors[1 - which]}
    return _trilinear.bind(*(known[x] for x in _FACTORS[slot]), product=slot, geometry=geometry)


def _batch(factors, axes, *, product: Slot, geometry: Geometry):
    """Returns a product of arrays with one more axis, and that axis."""
    one = functools.partial(_product, product=product, geometry=geometry)
    return jax.vmap(one, axes)(*factors), 0


_trilinear = Primitive("trilinear_conv")
_trilinear.def_impl(jax.jit(_product, static_argnames=("product", "geometry")))
_trilinear.def_abstract_eval(_shape)
ad.defbilinear(_trilinear, functools.partial(_transpose, 0), functools.partial(_transpose, 1))
batching.primitive_batchers[_trilinear] = _batch
mlir.register_lowering(_trilinear, mlir.lower_fun(_product, multiple_results=False))
