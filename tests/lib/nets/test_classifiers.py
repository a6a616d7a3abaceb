"""The classifiers' networks: small ones against NumPy, their dropout and their first weights."""

import collections
import functools

import jax
import numpy as np
import pytest

from lib.nets import blocks
from lib.nets.cnn import CNN
from lib.nets.densenet import DenseNet
from lib.nets.mlp import MLP
from lib.nets.resnet import ResNet
from lib.nets.vgg import VGG
from lib.nets.wide_resnet import WideBlock, WideResNet


class Reader:
    """Variables of a module's parts, in the order in which it makes them: `Conv_0`, `Conv_1`, .."""

    def __init__(self, params, stats, train: bool):
        self.params, self.stats, self.train = params, stats, train
        self.count, self.new = collections.Counter(), {}

    def take(self, kind: str):
        name = f"{kind}_{self.count[kind]}"
        self.count[kind] += 1
        return name, self.params[name]

    def part(self, kind: str) -> "Reader":
        name, params = self.take(kind)
        part = Reader(params, self.stats.get(name, {}), self.train)
        self.new[name] = part.new
        return part

    def conv(self, x, stride=1, symmetric=False):
        """Convolves, with zeros all around for stride 1, and more below and right where they are uneven.

        Symmetric: (kernel - 1) / 2 zeros all around for every stride.
        """
        _, p = self.take("Conv")
        size, kernel = x.shape[1], p["kernel"].shape[0]
        out = -(-size // stride)
        total = max((out - 1) * stride + kernel - size, 0)
        pad = ((kernel - 1) // 2,) * 2 if symmetric else (total // 2, total - total // 2)
        x = np.pad(x, ((0, 0), pad, pad, (0, 0)))
        y = np.zeros((len(x), out, out, p["kernel"].shape[3]))
        for q, v in np.ndindex(out, out):
            window = x[:, q * stride : q * stride + kernel, v * stride : v * stride + kernel]
            y[:, q, v] = np.tensordot(window, p["kernel"], 3)
        return y + p.get("bias", 0)

    def norm(self, x):
        name, p = self.take("BatchNorm")
        old = self.stats[name]
        mean, var = old["mean"], old["var"]
        if self.train:
            mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
            self.new[name] = {k: 0.9 * old[k] + 0.1 * v for k, v in {"mean": mean, "var": var}.items()}
        return (x - mean) / np.sqrt(var + 1e-5) * p["scale"] + p["bias"]

    def dense(self, x):
        _, p = self.take("Dense")
        return x @ p["kernel"] + p["bias"]


def relu(x):
    return np.maximum(x, 0)


def pool(x, reduce):
    b, h, w, c = x.shape
    return reduce(x.reshape(b, h // 2, 2, w // 2, 2, c), (2, 4))


def max_pool_3x3(x):
    """Takes the maximum over 3x3 windows with stride 2, which begin outside; for x >= 0 and even sides."""
    n = x.shape[1] // 2
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = [[x[:, 2 * q : 2 * q + 3, 2 * v : 2 * v + 3].max((1, 2)) for v in range(n)] for q in range(n)]
    return np.moveaxis(np.array(rows), 2, 0)


def numpy_mlp(net, r, x):
    x = x.reshape(len(x), -1)
    for _ in net.hidden:
        x = np.tanh(r.dense(x)) if net.activation == "tanh" else relu(r.dense(x))
    return r.dense(x), x


def numpy_cnn(net, r, x):
    for _ in net.channels:
        x = pool(relu(r.conv(x)), np.max)
    x = relu(r.dense(x.reshape(len(x), -1)))
    return r.dense(x), x


def numpy_vgg(net, r, x):
    for stage in net.stages:
        for _ in stage:
            x = r.conv(x)
            x = relu(r.norm(x) if net.batch_norm else x)
        x = pool(x, np.max)
    x = x.reshape(len(x), -1)
    for _ in net.hidden:
        x = relu(r.dense(x))
    return r.dense(x), x


def numpy_wide_resnet(net, r, x):
    x = r.conv(x)
    for stage in range(3):
        for i in range((net.depth - 4) // 6):
            block, stride = r.part("WideBlock"), 2 if stage > 0 and i == 0 else 1
            a = relu(block.norm(x))
            shortcut = block.conv(a, stride) if a.shape[3] != 16 * 2**stage * net.width else x
            x = shortcut + block.conv(relu(block.norm(block.conv(a, stride))))
    x = relu(r.norm(x)).mean((1, 2))
    return r.dense(x), x


def numpy_resnet(net, r, x):
    large = net.stem == "imagenet"
    x = relu(r.norm(r.conv(x, 1 + large, large)))
    x = max_pool_3x3(x) if large else x
    for stage, n in enumerate(net.num_blocks):
        for i in range(n):
            block, stride = r.part("ResidualBlock"), 2 if stage > 0 and i == 0 else 1
            y = block.norm(block.conv(relu(block.norm(block.conv(x, stride, large)))))
            x = relu(y + (block.norm(block.conv(x, stride)) if stage > 0 and i == 0 else x))
    x = x.mean((1, 2))
    return r.dense(x), x


def numpy_densenet(net, r, x):
    x = r.conv(x)
    for block in range(3):
        if block:
            x = pool(r.conv(relu(r.norm(x))), np.mean)
        for _ in range((net.depth - 4) // (6 if net.bottleneck else 3)):
            layer = r.part("DenseLayer")
            z = layer.conv(relu(layer.norm(x))) if net.bottleneck else x
            x = np.concatenate([x, layer.conv(relu(layer.norm(z)))], -1)
    x = relu(r.norm(x)).mean((1, 2))
    return r.dense(x), x


SMALL = [
    (MLP(3, (5, 4), "relu"), numpy_mlp),
    (MLP(3, (5,), "tanh"), numpy_mlp),
    (CNN(3, (2, 3), 5, 0.0), numpy_cnn),
    (VGG(3, (5, 4), 0.0, True, stages=((2, 3), (4,))), numpy_vgg),
    (VGG(3, (5,), 0.0, batch_norm=False, stages=((2,),)), numpy_vgg),
    (WideResNet(3, 10, 2, 0.0), numpy_wide_resnet),
    (WideResNet(3, 16, 1, 0.0), numpy_wide_resnet),
    (ResNet(3, (1, 2), 2), numpy_resnet),
    (ResNet(3, (1, 2), 2, "imagenet"), numpy_resnet),
    (DenseNet(3, 7, 2, bottleneck=False), numpy_densenet),
    (DenseNet(3, 16, 3, bottleneck=True), numpy_densenet),
]


def some_variables(net, x):
    """Draws float64 variables, none of them at a special value; variances positive."""
    rng = np.random.default_rng(1)

    def draw(leaf):
        if leaf.ndim == 1:
            return rng.uniform(0.5, 1.5, leaf.shape)
        return rng.normal(size=leaf.shape) / np.sqrt(leaf.size / leaf.shape[-1])

    return jax.tree.map(draw, jax.eval_shape(lambda: net.init(jax.random.key(0), x, train=False)))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("net, reference", SMALL, ids=lambda x: type(x).__name__)
def test_a_small_network_is_its_transcription(net, reference):
    # By running statistics, and in training by those of the batch, which the running ones follow.
    side = 16 if getattr(net, "stem", "") == "imagenet" else 4
    x = np.random.default_rng(0).normal(size=(3, side, side, 2))
    variables = some_variables(net, x)

    # Most of the time is the compiler's: results do not need its optimisations.
    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def apply(variables):
        return [net.apply(variables, x, train, mutable=["batch_stats"]) for train in (False, True)]

    results = apply(variables)
    old = variables.get("batch_stats", {})
    for train, (ours, stats) in zip((False, True), results, strict=True):
        reader = Reader(variables["params"], old, train)
        for a, b in zip(ours, reference(net, reader, x), strict=True):
            assert np.abs(b).max() > 1e-2
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
        if train and old:
            close = functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)
            jax.tree.map(close, stats["batch_stats"], reader.new)
            change = jax.tree.map(lambda a, b: np.abs(a - b).max(), reader.new, old)
            assert min(jax.tree.leaves(change)) > 1e-3


@pytest.mark.parametrize(
    "net", [VGG(3, (5, 4), 0.5, True, stages=((8,),)), WideBlock(2, 1, 0.4)], ids=["VGG", "WRN"]
)
def test_dropout_is_of_training_alone(net):
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 1))
    variables = some_variables(net, x)

    @jax.jit
    def drawn(key):
        return net.apply(variables, x, train=True, mutable=["batch_stats"], rngs={"dropout": key})[0]

    one, two = (jax.tree.leaves(drawn(jax.random.key(i)))[0] for i in (1, 2))
    assert (one != two).any()
    jax.eval_shape(lambda: net.apply(variables, x, train=False))  # needs no key


@pytest.mark.parametrize("kernel", [1, 3])
def test_weights_of_convolutions_have_hes_variance(kernel):
    # 2 / (kernel^2 features), by which gradients keep their scale.
    made = jax.jit(blocks.conv(256, kernel).init)(jax.random.key(0), np.zeros((1, 4, 4, 128)))
    weights = np.asarray(made["params"]["kernel"], float)
    assert list(made["params"]) == ["kernel"]
    np.testing.assert_allclose(weights.std(), np.sqrt(2 / (kernel**2 * 256)), rtol=0.02)
    assert abs(weights.mean()) < 0.02 * weights.std()
