"""The classifiers' networks: numbers of parameters in closed form, shapes of outputs."""

import jax
import jax.numpy as jnp
import pytest

from lib.nets.densenet import DenseNet, DenseNetOptions
from lib.nets.mlp import MLP, MLPOptions
from lib.nets.resnet import ResNet, ResNetOptions
from lib.nets.vgg import VGG, VGG_16, VGGOptions
from lib.nets.wide_resnet import WideResNet, WideResNetOptions

CIFAR, MNIST, IMAGENET = (2, 32, 32, 3), (2, 28, 28, 1), (2, 224, 224, 3)
K = 10  # classes


def conv(i: int, o: int, kernel: int = 3) -> int:
    """Counts the weights of a convolution."""
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


def resnet_18(classes: int = K, stem: int = 3) -> int:
    total, i = conv(3, 64, stem) + norm(64), 64
    for o in (64, 128, 256, 512):
        total += conv(i, o) + 3 * conv(o, o) + 4 * norm(o) + (i != o) * (conv(i, o, kernel=1) + norm(o))
        i = o
    return total + dense(i, classes)


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
        (DenseNet(K, **fields(DenseNetOptions, bottleneck=False)), CIFAR, densenet(12, 40, False), 860),
        (ResNet(K, **fields(ResNetOptions)), CIFAR, resnet_18(), 512),
        (ResNet(1000, **fields(ResNetOptions, stem="imagenet")), IMAGENET, resnet_18(1000, stem=7), 512),
    ],
    ids=str,
)
def test_sizes(net, shape, parameters, features):
    k = net.num_classes
    image = jax.ShapeDtypeStruct(shape, jnp.float32)
    made = jax.eval_shape(lambda x: net.init(jax.random.key(0), x, train=False), image)
    assert sum(x.size for x in jax.tree.leaves(made["params"])) == parameters

    def train(variables, x):
        rngs = {"dropout": jax.random.key(0)}
        return net.apply(variables, x, train=True, mutable=["batch_stats"], rngs=rngs)

    (logits, last), stats = jax.eval_shape(train, made, image)
    assert (logits.shape, last.shape) == ((2, k), (2, features))
    assert jax.tree.map(jnp.shape, stats) == jax.tree.map(jnp.shape, {k: made[k] for k in stats})


def test_the_closed_forms_are_the_sizes_that_the_literature_has():
    assert wide_resnet(6, 4) == 8_949_210  # 8.9M in Zagoruyko and Komodakis, Table 4
    assert wide_resnet(2, 4) == 2_748_890  # 2.7M there, Table 2
    assert densenet(16, 12, bottleneck=True) == 769_162  # DenseNet-BC-100-12: 0.8M in Huang et al., Table 2
    assert resnet_18() == 11_173_962
    assert resnet_18(classes=1000, stem=7) == 11_689_512  # torchvision's
    assert vgg(batch_norm=True) - 2 * dense(512, 512) == 14_728_266
