"""SavedModels read in JAX: each kind of layer, and a network of Inception's kinds, against TensorFlow."""

import jax
import numpy as np
import pytest
from conftest import small_config

from eval.networks.graph import UnknownOperationError, evaluate, tensor_value
from eval.networks.inception import inception
from eval.networks.operations import OPERATIONS
from eval.networks.saved_model_file import read_saved_model
from eval.networks.saved_model_messages import MESSAGES
from eval.networks.tensorflow_modules import inception as by_tensorflow
from experiments import registry
from lib.data import Dataset
from lib.errors import ConfigError
from lib.tensorflow import tensorflow

tf = tensorflow()
rng = np.random.default_rng(0)
SHAPE = (9, 7, 3)
BATCH_NORM = [rng.uniform(0.5, 2, 3).astype(np.float32) for _ in range(4)]  # scale, offset, mean, variance


def weight(*shape):
    """Returns random numbers, the same ones whenever a function is traced."""
    return tf.constant(np.random.default_rng(shape).normal(size=shape).astype(np.float32))


def padded(x):
    """Computes a shape from an image's, as graphs do, and pads."""
    n = tf.shape(x)[0]
    return tf.pad(tf.reshape(x, tf.stack([n, 9, 21])), [[0, 0], [1, 2], [0, 0]])


LAYERS = {
    "conv, same": lambda x: tf.nn.conv2d(x, weight(3, 3, 3, 5), 2, "SAME"),
    "conv, valid": lambda x: tf.nn.conv2d(x, weight(1, 7, 3, 5), 1, "VALID"),
    "conv, dilated": lambda x: tf.nn.conv2d(x, weight(3, 3, 3, 5), 1, "SAME", dilations=2),
    "conv, depthwise": lambda x: tf.nn.depthwise_conv2d(x, weight(3, 3, 3, 2), [1, 1, 1, 1], "SAME"),
    "batch norm": lambda x: tf.nn.batch_normalization(x, *BATCH_NORM, 1e-3),
    "fused batch norm": lambda x: tf.compat.v1.nn.fused_batch_norm(x, *BATCH_NORM, is_training=False)[0],
    "bias and relu": lambda x: tf.nn.relu(tf.nn.bias_add(x, weight(3))),
    "relu6": lambda x: tf.nn.relu6(9 * x),
    "max pool, same": lambda x: tf.nn.max_pool2d(x, 3, 2, "SAME"),
    "max pool, valid": lambda x: tf.nn.max_pool2d(x, 3, 2, "VALID"),
    "average pool, same": lambda x: tf.nn.avg_pool2d(x, 3, 1, "SAME"),
    "average pool, valid": lambda x: tf.nn.avg_pool2d(x, [9, 7], 1, "VALID"),
    "concatenation": lambda x: tf.concat([x, 2 * x, -x], 3),
    "dense": lambda x: tf.matmul(tf.reshape(x, (-1, 189)), weight(189, 4)) + weight(4),
    "dense, transposed": lambda x: tf.matmul(tf.reshape(x, (-1, 189)), weight(4, 189), transpose_b=True),
    "softmax": lambda x: tf.nn.softmax(tf.reduce_mean(x, (1, 2))),
    "mean": lambda x: tf.reduce_mean(x, (1, 2), keepdims=True),
    "sum and max": lambda x: tf.reduce_sum(x, 1) + tf.reduce_max(x, 1),
    "arithmetic": lambda x: (x - 0.5) * x / (tf.square(x) + 1) - tf.maximum(-x, tf.abs(x) / 2),
    "functions": lambda x: tf.tanh(x) + tf.sigmoid(x) + tf.exp(-x) + tf.math.rsqrt(tf.sqrt(x * x + 1)),
    "difference": lambda x: tf.math.squared_difference(x, weight(3)),
    "squeeze": lambda x: tf.squeeze(tf.reduce_mean(x, (1, 2), keepdims=True), (1, 2)),
    "expand, tile, transpose": lambda x: tf.transpose(tf.tile(tf.expand_dims(x, 1), (1, 2, 1, 1, 1))),
    "slices": lambda x: x[:, 1:-1:2, 3, :2],
    "new axis": lambda x: x[:, :, tf.newaxis, 2:, 1],
    "slice": lambda x: tf.slice(x, (0, 1, 2, 0), (-1, 3, 4, 2)),
    "split": lambda x: tf.split(x, 3, 3)[1] - tf.split(x, 3, 3)[0],
    "shapes": padded,
    "cast": lambda x: tf.cast(tf.cast(255 * x, tf.int32), tf.float32),
    "resize, half pixels": lambda x: tf.image.resize(x, (12, 5), "bilinear"),
    "resize, corners": lambda x: tf.compat.v1.image.resize_bilinear(x, (12, 5), align_corners=True),
    "resize, of 2015": lambda x: tf.compat.v1.image.resize_bilinear(x, (12, 5)),
    "checks": lambda x: tf.debugging.check_numerics(tf.stop_gradient(x), "x") + tf.fill(tf.shape(x), 2.0),
}


class Module(tf.Module):
    """A function of images as a SavedModel; its weights are constants, or `variables`."""

    def __init__(self, call, shape=SHAPE, variables=()):
        super().__init__()
        self.kept = [tf.Variable(v) for v in variables]
        spec = tf.TensorSpec((None, *shape), tf.float32)
        self.__call__ = tf.function(lambda images: call(images, *self.kept), input_signature=[spec])


def save(module, path, signed):
    """Writes a SavedModel with a default signature, or one that is called."""
    signature = module.__call__.get_concrete_function() if signed else None
    tf.saved_model.save(module, str(path), signatures=signature)


def assert_equal_outputs(module, path, x):
    """Asserts that what JAX reads gives what TensorFlow gives, for all outputs."""
    model, expected = read_saved_model(path), module.__call__(x)
    found = jax.jit(model.apply)(model.params, x)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.abs(value).max() > 0
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5 * np.abs(value).max())


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_is_tensorflow_s(tmp_path, layer):
    module = Module(lambda x: {"out": LAYERS[layer](x)})
    save(module, tmp_path, signed=False)
    assert_equal_outputs(module, tmp_path, rng.normal(size=(2, *SHAPE)).astype(np.float32))


def test_the_batch_norm_of_2015_is_its_formula():
    """Compares with the formula: TensorFlow runs this operation in graphs of that age alone."""
    attr = MESSAGES["Node"]().attr
    attr["variance_epsilon"].f, attr["scale_after_normalization"].b = 0.5, True
    gamma, beta, mean, variance = (v.reshape(1, 1, 1, 3) for v in BATCH_NORM)
    x = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    expected = gamma * (x - mean) / np.sqrt(variance + 0.5) + beta
    found = OPERATIONS["BatchNormWithGlobalNormalization"](attr, x, mean, variance, beta, gamma)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    attr["scale_after_normalization"].b = False
    found = OPERATIONS["BatchNormWithGlobalNormalization"](attr, x, mean, variance, beta, gamma)
    np.testing.assert_allclose(found, (x - mean) / np.sqrt(variance + 0.5) + beta, rtol=1e-5, atol=1e-6)


NORM_OF_4 = [rng.uniform(0.5, 2, 4).astype(np.float32) for _ in range(4)]
KERNELS = [np.random.default_rng(s).normal(size=s).astype(np.float32) for s in ((3, 3, 3, 4), (8, 12))]


def small_inception(x, conv, dense):
    """Computes what Inception has: convolutions, a batch norm, two towers, pooling, a dense layer."""
    x = tf.image.resize(x, (18, 18), "bilinear")
    x = tf.nn.conv2d(x, conv, 2, "VALID")
    x = tf.nn.relu(tf.compat.v1.nn.fused_batch_norm(x, *NORM_OF_4, is_training=False)[0])
    towers = [tf.nn.avg_pool2d(x, 3, 1, "SAME"), tf.nn.conv2d(x, weight(1, 1, 4, 4), 1, "SAME")]
    pooled = tf.reduce_mean(tf.concat(towers, 3), (1, 2), keepdims=True)
    return {"pool_3": pooled, "logits": tf.matmul(tf.reshape(pooled, (-1, 8)), dense)}


@pytest.mark.parametrize("signed", [True, False], ids=["signature", "call"])
@pytest.mark.parametrize("held", ["constants", "variables"])
def test_a_small_inception_is_tensorflow_s(tmp_path, held, signed):
    """Compares with TF-GAN's path: the module in TensorFlow, fed at 299x299, grey images as RGB."""
    if held == "variables":
        module = Module(small_inception, (299, 299, 3), KERNELS)
    else:
        module = Module(lambda x: small_inception(x, *KERNELS), (299, 299, 3))
    save(module, tmp_path, signed)
    config = registry.validated(small_config("gan/digits", f"eval.network_path={tmp_path}"))
    for channels in (1, 3):
        images = rng.uniform(-1, 1, (70, 8, 8, channels)).astype(np.float32)  # more than one batch
        data = Dataset(np.zeros((4, 8, 8, channels), np.uint8), np.zeros(4, np.int32), 10)
        ours, theirs = (find(config, data) for find in (inception, by_tensorflow))
        assert ours.num_features == theirs.num_features == 8
        ours, theirs = ours.load(), theirs.load()
        assert (theirs.name, theirs.resize) == (ours.name, ours.resize)
        assert theirs.checksum == f"{ours.checksum}-tensorflow"  # features that are cached do not mix
        assert ours.names == theirs.names
        for x, y in zip(ours.apply(images), theirs.apply(images), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4 * np.abs(y).max())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: {"logits": x}, "must give 'logits' and 'pool_3', and gives logits"),
        (lambda x: {"logits": x, "pool_3": tf.math.cumsum(x)}, "Cumsum.*--with=tfgan"),
    ],
)
def test_a_module_that_does_not_fit_is_one_line(tmp_path, call, message):
    save(Module(call, (299, 299, 3)), tmp_path, signed=True)
    config = registry.validated(small_config("gan/digits", f"eval.network_path={tmp_path}"))
    data = Dataset(np.zeros((4, 8, 8, 3), np.uint8), np.zeros(4, np.int32), 10)
    with pytest.raises(ConfigError, match=message) as error:
        inception(config, data)
    assert error.value.field == "config.eval.network_path"
    assert "\n" not in str(error.value)


def test_constants_of_all_forms():
    """Reads what bytes, a list, and a list that is cut before equal numbers stand for."""
    for value in (np.arange(6.0).reshape(2, 3), np.full((3, 4), 2.5), np.array(7)):
        for kind in (np.float16, np.float32, np.float64, np.int32, np.int64, np.bool_):
            given = value.astype(kind)
            written = tf.make_tensor_proto(given).SerializeToString()
            np.testing.assert_array_equal(tensor_value(MESSAGES["Tensor"].FromString(written)), given)
    short = tf.make_tensor_proto(np.float16(2.5), shape=(3,))
    assert short.half_val and not short.tensor_content
    read = tensor_value(MESSAGES["Tensor"].FromString(short.SerializeToString()))
    np.testing.assert_array_equal(read, np.full(3, 2.5))


def test_an_output_that_is_not_the_first_is_not_taken_for_it():
    for name in ("norm:batch_mean:0", "parts:other:1"):
        with pytest.raises(UnknownOperationError, match="output .* of '"):
            evaluate([], {}, [name], {}, {}, "")
    assert evaluate([], {"image": 3}, ["image"], {}, {}, "") == [3]


@pytest.mark.parametrize(
    ("file", "kept"),
    [("saved_model.pb", 0.5), ("saved_model.pb", 0), ("variables/variables.index", 0.9), ("data", 0.5)],
)
def test_damaged_files_are_one_line(tmp_path, file, kept):
    save(Module(small_inception, (299, 299, 3), KERNELS), tmp_path, signed=True)
    path = next(tmp_path.glob("variables/*data*")) if file == "data" else tmp_path / file
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    config = registry.validated(small_config("gan/digits", f"eval.network_path={tmp_path}"))
    with pytest.raises(ConfigError, match="cannot read '.*--with=tfgan") as error:
        inception(config, Dataset(np.zeros((4, 8, 8, 3), np.uint8), np.zeros(4, np.int32), 10))
    assert "\n" not in str(error.value)
