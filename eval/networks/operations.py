"""TensorFlow's operations of image networks in JAX: `(attributes, *inputs) -> output`, or a tuple of them.

Arrays that NumPy holds, shapes above all, stay NumPy's, so that they are known while a graph is compiled.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from eval.networks.tensor_bundle import TYPES


def _numeric(*inputs: Any) -> Any:
    """Returns the module whose functions these arrays need: NumPy, or JAX's where one is traced."""
    return jnp if any(isinstance(x, jax.Array) for x in inputs) else np


def _elementwise(name: str) -> Callable:
    """Returns an operation that NumPy and JAX have by one name."""
    return lambda attr, *inputs: getattr(_numeric(*inputs), name)(*inputs)


def _reduction(name: str) -> Callable:
    """Returns an operation over some axes."""

    def reduce(attr: Any, x: Any, axes: np.ndarray) -> Any:
        axes = tuple(np.atleast_1d(axes).tolist())
        return getattr(_numeric(x), name)(x, axes, keepdims=attr["keep_dims"].b)

    return reduce


def _nhwc(attr: Any) -> None:
    """Checks that images lie as [n, h, w, c], and that padding is VALID or SAME."""
    layout, padding = (attr[name].s.decode() if name in attr else "" for name in ("data_format", "padding"))
    if layout not in ("", "NHWC") or padding not in ("", "SAME", "VALID"):
        raise ValueError(f"data_format {layout} with padding {padding}")


def _spatial(attr: Any, name: str) -> tuple[int, int]:
    """Returns an attribute's numbers of height and width, of [n, h, w, c]."""
    values = list(attr[name].list.i) or [1, 1, 1, 1]
    return tuple(values[1:3])


def _conv(attr: Any, x: jax.Array, kernel: Any, depthwise: bool = False) -> jax.Array:
    _nhwc(attr)
    groups = 1
    if depthwise:  # [h, w, c, multiplier]
        groups, kernel = kernel.shape[2], kernel.reshape(*kernel.shape[:2], 1, -1)
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        _spatial(attr, "strides"),
        attr["padding"].s.decode(),
        rhs_dilation=_spatial(attr, "dilations"),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def _pool(attr: Any, x: jax.Array, pool: Callable, **kwargs) -> jax.Array:
    _nhwc(attr)
    return pool(x, _spatial(attr, "ksize"), _spatial(attr, "strides"), attr["padding"].s.decode(), **kwargs)


def _fused_batch_norm(attr: Any, x: Any, scale: Any, offset: Any, mean: Any, variance: Any) -> Any:
    _nhwc(attr)
    if attr["is_training"].b:
        raise ValueError("a batch norm that is in training")
    return (x - mean) * jax.lax.rsqrt(variance + attr["epsilon"].f) * scale + offset


def _batch_norm(attr: Any, x: Any, mean: Any, variance: Any, beta: Any, gamma: Any) -> Any:
    """Computes the normalisation of the graphs of 2015."""
    factor = jax.lax.rsqrt(variance + attr["variance_epsilon"].f)
    if attr["scale_after_normalization"].b:
        factor = factor * gamma
    return (x - mean) * factor + beta


def _matmul(attr: Any, a: Any, b: Any) -> Any:
    return (a.T if attr["transpose_a"].b else a) @ (b.T if attr["transpose_b"].b else b)


def _concatenate(arrays: Any, axis: Any) -> Any:
    return _numeric(*arrays).concatenate(arrays, int(axis))


def _reshape(attr: Any, x: Any, shape: np.ndarray) -> Any:
    return x.reshape(np.asarray(shape).tolist())


def _squeeze(attr: Any, x: Any) -> Any:
    return x.squeeze(tuple(attr["squeeze_dims"].list.i) or None)


def _strided_slice(attr: Any, x: Any, begin: Any, end: Any, strides: Any) -> Any:
    """Computes `x[begin:end:stride, ..]`, whose masks say what the brackets leave out."""
    if attr["ellipsis_mask"].i:
        raise ValueError("a slice with an ellipsis")

    def has(mask: str, i: int) -> bool:
        return bool(attr[f"{mask}_mask"].i >> i & 1)

    index = []
    for i, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
        if has("new_axis", i):
            index.append(None)
        elif has("shrink_axis", i):
            index.append(int(first))
        else:
            ends = (None if has("begin", i) else int(first), None if has("end", i) else int(last))
            index.append(slice(*ends, int(step)))
    return x[tuple(index)]


def _slice(attr: Any, x: Any, begin: Any, size: Any) -> Any:
    pairs = zip(begin, size, strict=True)
    return x[tuple(slice(int(b), None if s < 0 else int(b + s)) for b, s in pairs)]


def _resize_bilinear(attr: Any, x: jax.Array, size: np.ndarray) -> jax.Array:
    """Resizes [n, h, w, c] without antialiasing, by any of TensorFlow's three ways to place pixels."""
    for axis, n in zip((1, 2), np.asarray(size).tolist(), strict=True):
        length, i = x.shape[axis], np.arange(n)
        if attr["align_corners"].b and n > 1:
            at = i * (length - 1) / (n - 1)
        elif attr["half_pixel_centers"].b:
            at = (i + 0.5) * length / n - 0.5
        else:
            at = i * length / n
        below = np.floor(at)
        weight = np.asarray(at - below, np.float32).reshape([-1 if a == axis else 1 for a in range(4)])
        low, high = (np.clip(k, 0, length - 1).astype(int) for k in (below, below + 1))
        x = x.take(low, axis) * (1 - weight) + x.take(high, axis) * weight
    return x


def _cast(attr: Any, x: Any) -> Any:
    return x.astype(TYPES[attr["DstT"].type])


def _softmax(attr: Any, x: Any) -> Any:
    return jax.nn.softmax(x, -1)


def _split_equally(attr: Any, axis: Any, x: Any) -> tuple:
    return tuple(_numeric(x).split(x, attr["num_split"].i, int(axis)))


def _same(attr: Any, x: Any, *others: Any) -> Any:
    return x


OPERATIONS: dict[str, Callable] = {
    "Abs": _elementwise("abs"),
    "Add": _elementwise("add"),
    "AddN": lambda attr, *inputs: functools.reduce(_numeric(*inputs).add, inputs),
    "AddV2": _elementwise("add"),
    "AvgPool": functools.partial(_pool, pool=nn.avg_pool, count_include_pad=False),
    "BatchNormWithGlobalNormalization": _batch_norm,
    "BiasAdd": _elementwise("add"),
    "Cast": _cast,
    "CheckNumerics": _same,
    "Concat": lambda attr, axis, *arrays: _concatenate(arrays, axis),
    "ConcatV2": lambda attr, *inputs: _concatenate(inputs[:-1], inputs[-1]),
    "Conv2D": _conv,
    "DepthwiseConv2dNative": functools.partial(_conv, depthwise=True),
    "Exp": _elementwise("exp"),
    "ExpandDims": lambda attr, x, axis: _numeric(x).expand_dims(x, int(axis)),
    "Fill": lambda attr, shape, value: np.full(np.asarray(shape).tolist(), value),
    "FloorDiv": _elementwise("floor_divide"),
    "FusedBatchNorm": _fused_batch_norm,
    "FusedBatchNormV2": _fused_batch_norm,
    "FusedBatchNormV3": _fused_batch_norm,
    "Identity": _same,
    "IdentityN": lambda attr, *inputs: inputs,
    "Max": _reduction("max"),
    "MaxPool": functools.partial(_pool, pool=nn.max_pool),
    "Maximum": _elementwise("maximum"),
    "MatMul": _matmul,
    "Mean": _reduction("mean"),
    "Minimum": _elementwise("minimum"),
    "Mul": _elementwise("multiply"),
    "Neg": _elementwise("negative"),
    "Pack": lambda attr, *inputs: _numeric(*inputs).stack(inputs, attr["axis"].i),
    "Pad": lambda attr, x, widths: _numeric(x).pad(x, np.asarray(widths).tolist()),
    "Prod": _reduction("prod"),
    "ReadVariableOp": _same,
    "RealDiv": _elementwise("divide"),
    "Relu": lambda attr, x: jax.nn.relu(x),
    "Relu6": lambda attr, x: jax.nn.relu6(x),
    "Reshape": _reshape,
    "ResizeBilinear": _resize_bilinear,
    "Rsqrt": lambda attr, x: jax.lax.rsqrt(jnp.asarray(x)),
    "Shape": lambda attr, x: np.array(x.shape, np.int32),
    "Sigmoid": lambda attr, x: jax.nn.sigmoid(x),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split_equally,
    "Sqrt": _elementwise("sqrt"),
    "Square": _elementwise("square"),
    "SquaredDifference": lambda attr, x, y: (x - y) ** 2,
    "Squeeze": _squeeze,
    "StopGradient": _same,
    "StridedSlice": _strided_slice,
    "Sub": _elementwise("subtract"),
    "Sum": _reduction("sum"),
    "Tanh": _elementwise("tanh"),
    "Tile": lambda attr, x, multiples: _numeric(x).tile(x, np.asarray(multiples).tolist()),
    "Transpose": lambda attr, x, axes: x.transpose(np.asarray(axes).tolist()),
}
