"""Convolutions that are fast on CPUs as well, to any derivative; images [b, h, w, c].

Padding is 'SAME', or symmetric as PyTorch's.

On accelerators these are XLA's convolutions. On CPUs XLA is slow at their gradients (and twenty times
slower inside a scan), and a matrix product is neither. So there each derivative has a form of its own
(lib/nets/trilinear_conv.py), and a narrow image is convolved row by row: a row of the output is a matrix
product of the kernel's height of input rows with the band matrix of the kernel's rows,

    y[b, q, (v f)] = sum_i x[b, q s + i, (u c)] M[i, (u c), (v f)],   M[i, u, c, v, f] = W[i, u - v s, c, f]

All forms have the same parameters and, up to rounding, the same results.

Legend: b batch, p rows and u columns of the large image, q rows and v columns of the small one,
i rows and j columns of the kernel, s stride, c channels of the large image, f of the small one.
"""

import contextlib
import functools
from collections.abc import Iterator

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lib.nets import trilinear_conv
from lib.nets.trilinear_conv import padding, xla_conv

# The band matrix costs width / kernel times the convolution's operations.
_MAX_WASTE = 2
# In times out: beyond, convolutions come near to the rate of a matrix product.
_MAX_CHANNELS = 64 * 64


class _Layer(nn.Module):
    """Weights of `Conv` and `ConvTranspose`: `kernel` [i, j, channels in, features], `bias` [features]."""

    features: int
    kernel: int
    stride: int = 1
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

    def weights(self, channels: int) -> jax.Array:
        shape = (self.kernel, self.kernel, channels, self.features)
        return self.param("kernel", self.kernel_init, shape)

    def plus_bias(self, y: jax.Array) -> jax.Array:
        if not self.use_bias:
            return y
        return y + self.param("bias", nn.initializers.zeros, (self.features,)).reshape(1, 1, 1, -1)


class Conv(_Layer):
    """Convolution: [b, h, w, channels] to [b, h/stride, w/stride, features].

    Attributes:
      symmetric: whether it pads as PyTorch's networks do: `lib.nets.trilinear_conv.padding`.
    """

    symmetric: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        weights = self.weights(x.shape[-1])
        bands = prefers_bands(x.shape[2], weights.shape)
        on_cpu = band_conv if bands else trilinear_conv.convolve
        convolve = on_cpu if _is_cpu() else xla_conv
        return self.plus_bias(convolve(x, weights, self.stride, self.symmetric))


class ConvTranspose(_Layer):
    """The transpose of a convolution: [b, h, w, channels] to [b, h * stride, w * stride, features]."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        weights = self.weights(x.shape[-1])
        bands = prefers_bands(x.shape[2] * self.stride, weights.shape)
        on_cpu = band_conv_transpose if bands else trilinear_conv.convolve_transpose
        convolve = on_cpu if _is_cpu() else xla_conv_transpose
        return self.plus_bias(convolve(x, weights, self.stride))


def prefers_bands(width: int, shape: tuple[int, int, int, int]) -> bool:
    """Tells whether the band form is the faster one for a large image of this width, on this backend.

    Args:
      shape: of the weights, [i, j, channels in, features].
    """
    if not _is_cpu():
        return False
    kernel, _, channels, features = shape
    if width <= kernel:  # nothing is wasted, and XLA's gradients are up to ninety times slower
        return True
    return width <= _MAX_WASTE * kernel and channels * features <= _MAX_CHANNELS


def _is_cpu() -> bool:
    return jax.default_backend() == "cpu" and not _only_xla


_only_xla = False


@contextlib.contextmanager
def only_xla() -> Iterator[None]:
    """Makes programs traced within the block use XLA's convolutions alone, whose operations are counted."""
    global _only_xla
    _only_xla = True
    try:
        yield
    finally:
        _only_xla = False


def xla_conv_transpose(x: jax.Array, weights: jax.Array, stride: int) -> jax.Array:
    """Applies a convolution's transpose by XLA: x [b, q, v, f], weights [i, j, f, c] to [b, p, u, c]."""
    return jax.lax.conv_transpose(
        x,
        weights.swapaxes(2, 3),
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        transpose_kernel=True,
    )


def band_conv(x: jax.Array, weights: jax.Array, stride: int, symmetric: bool = False) -> jax.Array:
    """Convolves row by row with the band matrix: x [b, p, u, c], weights [i, j, c, f] to [b, q, v, f]."""
    b, _, width, c = x.shape
    kernel, features = weights.shape[0], weights.shape[-1]
    matrix = jnp.einsum("uvj,ijcf->iucvf", selector(width, kernel, stride, symmetric), weights)
    rows = gather_rows(x.reshape(*x.shape[:2], width * c), kernel, stride, symmetric)
    y = rows @ matrix.reshape(rows.shape[-1], -1)
    return y.reshape(b, y.shape[1], -1, features)


def band_conv_transpose(x: jax.Array, weights: jax.Array, stride: int) -> jax.Array:
    """Applies the transpose of `band_conv`: x [b, q, v, f], weights [i, j, f, c] to [b, p, u, c]."""
    b, height, width, _ = x.shape
    kernel, c = weights.shape[0], weights.shape[-1]
    chosen = selector(width * stride, kernel, stride)
    matrix = jnp.einsum("uvj,ijfc->vfiuc", chosen, weights)
    rows = x.reshape(b, height, -1) @ matrix.reshape(x.shape[2] * x.shape[3], -1)
    image = jax.ShapeDtypeStruct((b, height * stride, width * stride * c), x.dtype)
    gather = functools.partial(gather_rows, kernel=kernel, stride=stride)
    return jax.linear_transpose(gather, image)(rows)[0].reshape(b, height * stride, width * stride, c)


def gather_rows(x: jax.Array, kernel: int, stride: int, symmetric: bool = False) -> jax.Array:
    """Gathers the rows that the kernel covers at every output row: [b, p, n] to [b, q, (i n)]."""
    before, after, out = padding(x.shape[1], kernel, stride, symmetric)
    x = jnp.pad(x, ((0, 0), (before, after), (0, 0)))
    last = stride * (out - 1) + 1
    return jnp.concatenate([x[:, i : i + last : stride] for i in range(kernel)], -1)


@functools.lru_cache
def selector(width: int, kernel: int, stride: int, symmetric: bool = False) -> np.ndarray:
    """Returns [u, v, j]: 1 where kernel column j joins columns u and v, else 0."""
    before, _, out = padding(width, kernel, stride, symmetric)
    u, v, j = np.ogrid[:width, :out, :kernel]
    return (u == v * stride + j - before).astype(np.float32)
