"""Convolutions as patches times a matrix, for small images on CPUs.

XLA's CPU backend is slow at gradients of tiny convolutions, and twenty times slower inside a scan; a
matrix product is neither. Same parameters' shapes, padding ('SAME') and results as flax.linen.Conv and a
transposed convolution by XLA's gradient of that convolution.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp


def patches(x: jax.Array, kernel: int, stride: int) -> jax.Array:
    """[b, h, w, c] to [b, h/stride, w/stride, kernel * kernel * c], zero-padded as 'SAME'."""
    _, h, w, c = x.shape
    out_h, out_w = -(-h // stride), -(-w // stride)
    pads = [max((o - 1) * stride + kernel - n, 0) for o, n in ((out_h, h), (out_w, w))]
    x = jnp.pad(x, ((0, 0), *((p // 2, p - p // 2) for p in pads), (0, 0)))
    columns = [
        x[:, i : i + stride * (out_h - 1) + 1 : stride, j : j + stride * (out_w - 1) + 1 : stride]
        for i in range(kernel)
        for j in range(kernel)
    ]
    return jnp.stack(columns, axis=3).reshape(-1, out_h, out_w, kernel * kernel * c)


class Conv(nn.Module):
    """Convolution with 'SAME' padding: [b, h, w, c] to [b, h/stride, w/stride, features]."""

    features: int
    kernel: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        weights = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return patches(x, self.kernel, self.stride) @ weights.reshape(-1, self.features) + bias


class ConvTranspose(nn.Module):
    """The transpose of `Conv`: [b, h, w, c] to [b, h * stride, w * stride, features]."""

    features: int
    kernel: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        b, h, w, c = x.shape
        shape = (self.kernel, self.kernel, c, self.features)
        weights = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        columns = jnp.einsum("bhwc,ijcf->bhwijf", x, weights).reshape(b, h, w, -1)
        output = jax.ShapeDtypeStruct((b, h * self.stride, w * self.stride, self.features), x.dtype)
        gather = functools.partial(patches, kernel=self.kernel, stride=self.stride)
        (image,) = jax.linear_transpose(gather, output)(columns)
        return image + bias
