"""The classifiers' networks: sizes in closed form, and small ones against NumPy."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.nets import blocks
from lib.nets.cnn import CNN
from lib.nets.densenet import DenseNet, DenseNetOptions
from lib.nets.mlp import MLP, MLPOptions
from lib.nets.resnet import ResNet
from lib.nets.vgg import VGG, VGG_16, VGGOptions
from lib.nets.wide_resnet import WideBlock, WideResNet, WideResNetOptions

CIFAR, MNIST = (2, 32, 32, 3), (2, 28, 28, 1)
K = 10  # classes


def conv(i: int, o: int, kernel: int = 3) -> int:
    return kernel**2 * i * o


def norm(c: int) -> int:
    return 2 * c


def dense(i: int, o: int) -> int:
    return i * o + o


def vgg(batch_norm: bool) -> int:
    channels = [3, *(c for stage in VGG_16 for c in stage)]
    convs = sum(conv(i, o) + o for i, o in zip(channels, channels[1:], strict=False))
    return convs + batch_norm * sum(map(norm, channels[1:])) + 2 * dense(512, 512) + dense(512, K)


def wide_resnet(n: int, width: int) -> int:
    total, i = conv(3, 16), 16
    for o in (16 * width, 32 * width, 64 * width):
        total += norm(i) + conv(i, o) + norm(o) + conv(o, o) + conv(i, o, kernel=1)
        total += (n - 1) * 2 * (norm(o) + conv(o, o))
        i = o
    return total + norm(i) + dense(i, K)


def densenet(layers: int, k: int, bottleneck: bool) -> int:
    total, c = conv(3, 2 * k), 2 * k
    for block in range(3):
        if block:
            total, c = total + norm(c) + conv(c, c // 2, kernel=1), c // 2
        for _ in range(layers):
            wide = norm(c) + conv(c, 4 * k, kernel=1) + norm(4 * k) + conv(4 * k, k)
            total, c = total + (wide if bottleneck else norm(c) + conv(c, k)), c + k
    return total + norm(c) + dense(c, K)


def resnet_18() -> int:
    total, i = conv(3, 64) + norm(64), 64
    for o in (64, 128, 256, 512):
        total += conv(i, o) + 3 * conv(o, o) + 4 * norm(o) + (i != o) * (conv(i, o, kernel=1) + norm(o))
        i = o
    return total + dense(i, K)


def fields(options, **changed) -> dict:
    """Returns the defaults of a class of options, some of them changed."""
    return options(**changed).model_dump()


@pytest.mark.parametrize(
    "net, shape, parameters, features",
    [
        (MLP(K, (), "relu"), MNIST, dense(784, K), 784),
        (MLP(K, **fields(MLPOptions)), MNIST, dense(784, 1000) + dense(1000, 1000) + dense(1000, K), 1000),
        (VGG(K, **fields(VGGOptions)), CIFAR, vgg(batch_norm=True), 512),
        (VGG(K, **fields(VGGOptions, batch_norm=False)), CIFAR, vgg(batch_norm=False), 512),
        (WideResNet(K, **fields(WideResNetOptions)), CIFAR, wide_resnet(6, 4), 256),
        (WideResNet(K, **fields(WideResNetOptions, depth=16, dropout=0.4)), CIFAR, wide_resnet(2, 4), 256),
        (DenseNet(K, **fields(DenseNetOptions)), CIFAR, densenet(6, 40, bottleneck=True), 440),
        (DenseNet(K, **fields(DenseNetOptions, bottleneck=False)), CIFAR, densenet(12, 40, bottleneck=False), 860),
        (ResNet(K), CIFAR, resnet_18(), 512),
    ],
    ids=str,
)
def test_sizes(net, shape, parameters, features):
    image = jax.ShapeDtypeStruct(shape, jnp.float32)
    made = jax.eval_shape(lambda x: net.init(jax.random.key(0), x, train=False), image)
    assert sum(x.size for x in jax.tree.leaves(made["params"])) == parameters
    run = lambda v, x: net.apply(
        v, x, train=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(0)}
    )
    (logits, found), stats = jax.eval_shape(run, made, image)
    assert (logits.shape, found.shape) == ((2, K), (2, features))
    assert jax.tree.map(jnp.shape, stats) == jax.tree.map(jnp.shape, {k: made[k] for k in stats})


def test_the_closed_forms_are_the_sizes_that_the_literature_has():
    assert wide_resnet(6, 4) == 8_949_210  # 8.9M in Zagoruyko and Komodakis, Table 4
    assert wide_resnet(2, 4) == 2_748_890  # 2.7M there, Table 2
    assert densenet(16, 12, bottleneck=True) == 769_162  # DenseNet-BC-100-12: 0.8M in Huang et al., Table 2
    assert resnet_18() == 11_173_962
    assert vgg(batch_norm=True) - 2 * dense(512, 512) == 14_728_266


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

    def conv(self, x, stride=1):
        """Zeros all around for stride 1, and more of them below and right where they are uneven."""
        _, p = self.take("Conv")
        size, kernel = x.shape[1], p["kernel"].shape[0]
        out = -(-size // stride)
        total = max((out - 1) * stride + kernel - size, 0)
        pad = (total // 2, total - total // 2)
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
    x = relu(r.norm(r.conv(x)))
    for stage, n in enumerate(net.num_blocks):
        for i in range(n):
            block, stride = r.part("ResidualBlock"), 2 if stage > 0 and i == 0 else 1
            y = block.norm(block.conv(relu(block.norm(block.conv(x, stride)))))
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
    (CNN(3, (2, 3), 5, 0.25), numpy_cnn),
    (VGG(3, (5, 4), 0.0, True, stages=((2, 3), (4,))), numpy_vgg),
    (VGG(3, (5,), 0.0, batch_norm=False, stages=((2,),)), numpy_vgg),
    (WideResNet(3, 10, 2, 0.0), numpy_wide_resnet),
    (WideResNet(3, 16, 1, 0.0), numpy_wide_resnet),
    (ResNet(3, (1, 2), 2), numpy_resnet),
    (DenseNet(3, 7, 2, bottleneck=False), numpy_densenet),
    (DenseNet(3, 16, 3, bottleneck=True), numpy_densenet),
]


def some_variables(net, x):
    """float64 variables, none of them at a special value; variances positive."""
    rng = np.random.default_rng(1)

    def draw(leaf):
        if leaf.ndim == 1:
            return rng.uniform(0.5, 1.5, leaf.shape)
        return rng.normal(size=leaf.shape) / np.sqrt(leaf.size / leaf.shape[-1])

    return jax.tree.map(draw, jax.eval_shape(lambda: net.init(jax.random.key(0), x, train=False)))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("net, reference", SMALL, ids=lambda x: type(x).__name__)
def test_a_small_network_is_its_transcription(net, reference):
    """By running statistics, and in training by those of the batch, which the running ones follow."""
    x = np.random.default_rng(0).normal(size=(3, 4, 4, 2))
    variables = some_variables(net, x)
    apply = lambda train: net.apply(variables, x, train=train, mutable=["batch_stats"])
    results = jax.jit(lambda: [apply(train) for train in (False, True)])()
    old = variables.get("batch_stats", {})
    for train, (ours, stats) in zip((False, True), results, strict=True):
        reader = Reader(variables["params"], old, train)
        for a, b in zip(ours, reference(net, reader, x), strict=True):
            assert np.abs(b).max() > 1e-2
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
        if train and old:
            same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
            jax.tree.map(same, stats["batch_stats"], reader.new)
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
    """2 / (kernel^2 features), by which gradients keep their scale."""
    made = jax.jit(blocks.conv(256, kernel).init)(jax.random.key(0), np.zeros((1, 4, 4, 128)))
    weights = np.asarray(made["params"]["kernel"], float)
    assert list(made["params"]) == ["kernel"]
    np.testing.assert_allclose(weights.std(), np.sqrt(2 / (kernel**2 * 256)), rtol=0.02)
    assert abs(weights.mean()) < 0.02 * weights.std()
